// What the server shows a webhook of who it is: a user of a kubeconfig, whose name says for which servers it is. Pure.

export interface WebhookCredentials {
  token?: string;
  certificatePem?: string;
  keyPem?: string;
}

/** By `host:port`; of a service `name.namespace.svc:port`. Undefined: it is asked by nobody in particular. */
export type CredentialsOf = (hostPort: string) => WebhookCredentials | undefined;

/**
 * The user named as the server, else `*.` and the end of its name, the longest first; the same without the port where it is
 * 443; else `*`; else `current`, the user of the current context.
 */
export function credentialsByServer(
  users: ReadonlyMap<string, WebhookCredentials>,
  current: string | undefined,
): CredentialsOf {
  const named = (target: string) => {
    const steps = target.split('.');
    const names = [target, ...steps.slice(1).map((_, i) => `*.${steps.slice(i + 1).join('.')}`)];
    return names.find((name) => users.has(name));
  };
  return (hostPort) => {
    const bare = hostPort.endsWith(':443') ? named(hostPort.slice(0, -4).replace(/^\[|\]$/g, '')) : undefined;
    return users.get(named(hostPort) ?? bare ?? (users.has('*') ? '*' : (current ?? '')));
  };
}
