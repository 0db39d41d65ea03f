/** Compliance task manager: follow-ups by type, state and due date. */

import { facts } from "../panel.js";
import { moment, word } from "../words.js";
import { taskWork } from "./task-work.js";

const TYPES = [
  "consent_renewal",
  "safeguarding_review",
  "identity_check",
  "temperature_excursion",
  "document_request",
  "follow_up_call",
];
const WORKING = ["open", "in_progress", "blocked"];
const TONES = { completed: "good", cancelled: "quiet", blocked: "bad" };
const WEEK_MS = 7 * 24 * 3_600_000;

export const compliance = {
  path: "/v2/compliance",
  one: "task",
  many: "tasks",
  // A task type may have a flag of its own; without one it follows the entity's.
  stages: (stage) => {
    const all = stage("compliance_tasks.stage");
    return TYPES.map((type) => stage(`compliance_tasks:${type}.stage`, all));
  },
  query: (form) => {
    const plain = [...form].filter(([name, value]) => value !== "" && name !== "due");
    return [...plain, ...due(form.get("due")), ["order", "due_at"]];
  },
  row: (task) => ({
    title: task.title,
    note: `${word(task.task_type)}${task.is_blocking ? " · blocks" : ""} · ${dueWords(task)}`,
    pill: isOverdue(task) ? "overdue" : word(task.status),
    tone: isOverdue(task) ? "bad" : (TONES[task.status] ?? "going"),
  }),
  details: (task, tools) => [
    facts([
      ["Task", task.title],
      ["Status", word(task.status)],
      ["Type", word(task.task_type)],
      ["Priority", task.priority],
      ["Blocks others", task.is_blocking ? "yes" : "no"],
      ["Due", moment(task.due_at)],
      ["Completed", moment(task.completed_at)],
      ["Assignee", task.assignee_id],
      ["Submission", task.submission_id],
      ["Description", task.description],
    ]),
    ...taskWork(task, tools),
  ],
};

function due(choice) {
  const now = Date.now();
  const instant = (ms) => new Date(ms).toISOString();
  if (choice === "overdue") return [["due_at[lt]", instant(now)], ["status[in]", WORKING.join(",")]];
  if (choice === "week") return [["due_at[gte]", instant(now)], ["due_at[lt]", instant(now + WEEK_MS)]];
  return [];
}

function dueWords(task) {
  return task.due_at ? `due ${moment(task.due_at)}` : "no due date";
}

function isOverdue(task) {
  return WORKING.includes(task.status) && task.due_at !== null && new Date(task.due_at) < new Date();
}
