// What went wrong in words for the person at the terminal: one line that says what is wrong and what to do.

export class UserError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.name = 'UserError';
    this.exitCode = exitCode;
  }
}

/** Of the system's or of SQLite's, however it is wrapped. */
export function isDiskFull(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if ((at as NodeJS.ErrnoException).code === 'ENOSPC' || /database or disk is full/.test(at.message)) return true;
  return false;
}
