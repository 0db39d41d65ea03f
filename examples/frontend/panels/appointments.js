/** Appointment widget: appointments, by the time of the place. */

import { facts } from "../panel.js";
import { foreignZone, moment, momentIn, word } from "../words.js";

export const FLAG = "appointments.stage";

const TONES = { fulfilled: "good", cancelled: "quiet", no_show: "bad" };

export const appointments = {
  path: "/v2/appointments",
  one: "appointment",
  many: "appointments",
  stages: (stage) => [stage(FLAG)],
  query: (form) => {
    const plain = [...form].filter(([name, value]) => value !== "" && name !== "when");
    return [...plain, ...when(form.get("when"))];
  },
  row: (appointment) => ({
    title: momentIn(appointment.starts_at, appointment.time_zone),
    note: [word(appointment.modality), appointment.location, foreignZone(appointment.time_zone)]
      .filter(Boolean)
      .join(" · "),
    pill: word(appointment.status),
    tone: TONES[appointment.status] ?? "going",
  }),
  details: (appointment) => [
    facts([
      ["Begins", momentIn(appointment.starts_at, appointment.time_zone)],
      ["Ends", momentIn(appointment.ends_at, appointment.time_zone)],
      ["Time zone", appointment.time_zone],
      ["Begins, your time", foreignZone(appointment.time_zone) && moment(appointment.starts_at)],
      ["Where", appointment.location],
      ["Clinician", appointment.clinician_id],
      ["Partner", appointment.partner_id],
      ["Reason", appointment.reason],
      ["Cancelled because", appointment.cancellation_reason],
    ]),
  ],
};

function when(choice) {
  const now = new Date().toISOString();
  if (choice === "upcoming") return [["ends_at[gte]", now], ["order", "starts_at"]];
  if (choice === "past") return [["ends_at[lt]", now], ["order", "-starts_at"]];
  return [["order", "-starts_at"]];
}
