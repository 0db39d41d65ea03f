/** What a stage means to a frontend: who answers its reads. The gateway decides; this is only how it is shown. */

const LEGACY = ["legacy", "shadow", "dual_write"];
const SERVICE = ["live", "ramp_down", "complete"];

export const UNKNOWN = "unknown";

/** "legacy", "service" or "unknown". */
export function sideOf(stage) {
  if (LEGACY.includes(stage)) return "legacy";
  return SERVICE.includes(stage) ? "service" : UNKNOWN;
}

/** What the badge of a panel says, given the stages of all that the panel shows: `side`, also "both", and `words`. */
export function badge(stages) {
  const distinct = [...new Set(stages)];
  const sides = [...new Set(distinct.map(sideOf))];
  if (sides.length > 1) return { side: "both", words: "via both, by type" };
  const [side] = sides;
  if (side === UNKNOWN) return { side, words: "side unknown" };
  const who = side === "legacy" ? "via legacy" : "via new service";
  const [stage] = distinct;
  const plain = distinct.length > 1 || stage === "legacy";
  return { side, words: plain ? who : `${who} (${stage.replaceAll("_", " ")})` };
}
