// What is written on the error channel when a command ends: from v4 on a Status object, before that plain text.

export type Outcome =
  | { kind: 'exited'; code: number; command: readonly string[] }
  | { kind: 'detached' }
  | { kind: 'failed'; message: string };

/** Source: the remote command protocol of kubelet and kubectl (v4.channel.k8s.io). */
export function statusJson(outcome: Outcome): string {
  if (outcome.kind === 'detached' || (outcome.kind === 'exited' && outcome.code === 0)) {
    return JSON.stringify({ metadata: {}, status: 'Success' });
  }
  if (outcome.kind === 'exited') {
    return JSON.stringify({
      metadata: {},
      status: 'Failure',
      message: `command terminated with non-zero exit code: ${exitText(outcome)}`,
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: String(outcome.code) }] },
    });
  }
  return JSON.stringify({
    metadata: {},
    status: 'Failure',
    message: `Internal error occurred: ${outcome.message}`,
    reason: 'InternalError',
    details: { causes: [{ message: outcome.message }] },
    code: 500,
  });
}

/** Nothing at all means success. */
export function statusText(outcome: Outcome): string {
  if (outcome.kind === 'detached' || (outcome.kind === 'exited' && outcome.code === 0)) return '';
  if (outcome.kind === 'exited') return `command terminated with non-zero exit code: ${exitText(outcome)}`;
  return outcome.message;
}

function exitText(outcome: Outcome & { kind: 'exited' }): string {
  return `error executing command [${outcome.command.join(' ')}], exit code ${outcome.code}`;
}
