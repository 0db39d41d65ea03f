/** Values in words. */

const MOMENT = { dateStyle: "medium", timeStyle: "short" };
const plain = new Intl.DateTimeFormat(undefined, MOMENT);

const HERE = plain.resolvedOptions().timeZone;

/** "in_progress" -> "in progress". */
export function word(value) {
  return String(value ?? "").replaceAll("_", " ");
}

/** A timestamp in the reader's time zone; nothing for none. */
export function moment(timestamp) {
  return timestamp ? plain.format(new Date(timestamp)) : "";
}

/** A timestamp in a named time zone; by the reader's where this browser does not know that one. */
export function momentIn(timestamp, timeZone) {
  return (inZone(timeZone) ?? plain).format(new Date(timestamp));
}

/** The time of day in a named time zone, like `momentIn`. */
export function timeIn(timestamp, timeZone) {
  const zone = inZone(timeZone) ? timeZone : HERE;
  return new Intl.DateTimeFormat(undefined, { timeStyle: "short", timeZone: zone }).format(new Date(timestamp));
}

/** The zone by which `momentIn` shows, when it is not the reader's own, else nothing. */
export function foreignZone(timeZone) {
  return timeZone !== HERE && inZone(timeZone) ? timeZone : "";
}

function inZone(timeZone) {
  try {
    return new Intl.DateTimeFormat(undefined, { ...MOMENT, timeZone });
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** Hundredths, whatever the currency (that is how /v2 counts), as an amount; nothing for none. */
export function amount(minor, currency) {
  if (minor === null || minor === undefined) return "";
  const code = String(currency).trim();
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency: code, ...digits }).format(minor / 100);
  } catch (error) {
    if (error instanceof RangeError) return `${(minor / 100).toFixed(2)} ${code}`;
    throw error;
  }
}

/** The instant at which a day (as a date input names it) begins for the reader, some days later if so wished. */
export function beginOf(day, daysLater = 0) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + daysLater).toISOString();
}

/** The reader's own day as a date input names it, some days from now. */
export function dayFromNow(days) {
  const then = new Date();
  then.setDate(then.getDate() + days);
  const two = (number) => String(number).padStart(2, "0");
  return `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())}`;
}
