/** Waiting, as long as somebody wants to. */

/** Ends after so many milliseconds. Throws the signal's reason when it is aborted before. */
export async function pause(ms, signal) {
  signal.throwIfAborted();
  const ended = new AbortController();
  await new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    const giveUp = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", giveUp, { signal: ended.signal });
  }).finally(() => ended.abort());
}

/** Ends when the page can be seen. Throws like `pause`. */
export async function visible(signal) {
  signal.throwIfAborted();
  if (document.visibilityState === "visible") return;
  const ended = new AbortController();
  await new Promise((resolve, reject) => {
    const look = () => {
      if (document.visibilityState === "visible") resolve();
    };
    document.addEventListener("visibilitychange", look, { signal: ended.signal });
    signal.addEventListener("abort", () => reject(signal.reason), { signal: ended.signal });
  }).finally(() => ended.abort());
}
