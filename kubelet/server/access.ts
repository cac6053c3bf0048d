// Who may use the node server: callers with a client certificate of the cluster's CA in group system:masters. Nobody
// else: these endpoints run commands in any container of the node.
import type { TLSSocket } from 'node:tls';

export type Access = { kind: 'allowed'; user: string } | { kind: 'unauthorized' } | { kind: 'forbidden'; user: string };

const MASTERS = 'system:masters';

export function accessOf(socket: TLSSocket): Access {
  if (!socket.authorized) return { kind: 'unauthorized' };
  const certificate = socket.getPeerCertificate();
  const subject = certificate?.subject as { CN?: string | string[]; O?: string | string[] } | undefined;
  if (!subject) return { kind: 'unauthorized' };
  const list = (value: string | string[] | undefined) =>
    value === undefined ? [] : Array.isArray(value) ? value : [value];
  const user = list(subject.CN)[0] ?? '';
  return list(subject.O).includes(MASTERS) ? { kind: 'allowed', user } : { kind: 'forbidden', user };
}
