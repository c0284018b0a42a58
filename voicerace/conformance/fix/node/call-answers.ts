/**
 * Call answers: one result per function call, whichever function sends it.
 *
 * A handler can answer a call by its return value, by the function that it is given, or by the component's
 * `sendFunctionCallResponse`. The first answer counts. If the handler ends without an answer, a default answer is sent only
 * after `DEFAULT_AFTER_MS`, because a handler that returns nothing can still answer later.
 */

/** Delay in ms before the default answer. */
export const DEFAULT_AFTER_MS = 20_000;

export class CallAnswers {
  private readonly answered = new Set<string>();
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();

  /** Claim the answer to a call. Return whether this is its first answer; otherwise do not send it. */
  claim(id: string): boolean {
    const timer = this.timers.get(id);
    if (timer !== undefined) clearTimeout(timer);
    this.timers.delete(id);
    if (this.answered.has(id)) return false;
    this.answered.add(id);
    return true;
  }

  /** Call `send` after `DEFAULT_AFTER_MS`, unless the call is answered before. */
  unlessAnswered(id: string, send: () => void): void {
    if (this.answered.has(id) || this.timers.has(id)) return;
    const late = (): void => {
      this.timers.delete(id);
      try {
        send();
      } catch {
        // the connection has ended, and the call with it
      }
    };
    this.timers.set(id, setTimeout(late, DEFAULT_AFTER_MS));
  }
}
