// Acquire and release side by side: what was done so far is undone in reverse order when a later step fails.

export class UndoStack {
  #steps: { what: string; undo: () => void | Promise<void> }[] = [];

  /** Registers how to undo the step that has just succeeded. */
  push(what: string, undo: () => void | Promise<void>): void {
    this.#steps.push({ what, undo });
  }

  /** Keeps everything: the whole operation succeeded. */
  commit(): void {
    this.#steps = [];
  }

  /** Undoes in reverse order; every step is tried, and what failed is returned, never thrown. */
  async rollback(): Promise<{ what: string; error: unknown }[]> {
    const failures: { what: string; error: unknown }[] = [];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step.undo();
      } catch (error) {
        failures.push({ what: step.what, error });
      }
    }
    return failures;
  }
}
