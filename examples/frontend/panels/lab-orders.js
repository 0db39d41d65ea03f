/** Lab order console: orders, and the trail of events of each. */

import { make } from "../markup.js";
import { facts } from "../panel.js";
import { amount, moment, word } from "../words.js";

const TONES = { resulted: "good", cancelled: "quiet", draft: "quiet", failed: "bad" };
const TRAIL = 50;

export const labOrders = {
  path: "/v2/lab-orders",
  one: "lab order",
  many: "lab orders",
  stages: (stage) => [stage("lab_orders.stage")],
  query: (form) => [...form].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value !== ""),
  row: (order) => ({
    title: order.test_name ?? order.test_code,
    note: `No. ${order.order_number} · priority ${order.priority} · ${moment(order.ordered_at ?? order.created_at)}`,
    pill: word(order.status),
    tone: TONES[order.status] ?? "going",
  }),
  details: async (order, { list }) => {
    const path = `/v2/lab-orders/${encodeURIComponent(order.id)}/events`;
    const trail = await list(path, new URLSearchParams({ order: "occurred_at", limit: TRAIL }));
    return [
      facts([
        ["Test", order.test_name],
        ["Test code", order.test_code],
        ["Vendor", order.vendor],
        ["Vendor's reference", order.vendor_reference],
        ["Vendor's status", order.vendor_status],
        ["Ordered", moment(order.ordered_at)],
        ["Collected", moment(order.collected_at)],
        ["Resulted", moment(order.resulted_at)],
        ["Price", amount(order.price_minor, order.currency)],
        ["Tags", order.tags.join(", ")],
        ["Result", order.result_summary],
      ]),
      make("h3", {}, "Trail"),
      events(trail),
    ];
  },
};

function events({ items, next }) {
  if (items.length === 0) return make("p", { class: "empty" }, "No events yet.");
  const lines = items.map((event) =>
    make(
      "li",
      {},
      make("span", { class: "trail-kind" }, word(event.kind)),
      event.to_status ? make("span", { class: "trail-to" }, word(event.to_status)) : null,
      make("time", { datetime: event.occurred_at }, moment(event.occurred_at)),
    ),
  );
  if (next !== null) lines.push(make("li", {}, `The first ${items.length} events are shown.`));
  return make("ol", { class: "trail" }, ...lines);
}
