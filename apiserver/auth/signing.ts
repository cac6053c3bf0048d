// What the process that holds the cluster's keys does for its controllers: certificates and tokens. The keys are read from
// the PKI directory; the X.509 library is loaded with the first request.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { serviceAccountUser } from './identity.ts';
import { createTokenSigner } from './jwt.ts';
import { LEGACY_ISSUER } from './service-account-token.ts';

export interface ClusterSigning {
  /** PEM of the certificate for `request` (base64 of PEM). Throws when it cannot be signed. */
  certificate(request: string, usages: readonly string[], seconds: number): Promise<string>;
  secretToken(facts: { namespace: string; secret: string; account: string; accountUid: string }): string;
}

/** Undefined where the keys are not. `signingKeyPem` in the place of the key in the directory. */
export function clusterSigning(dir: string, clock: Clock, signingKeyPem?: string): ClusterSigning | undefined {
  const path = (name: string) => join(dir, name);
  if (!['ca.crt', 'ca.key', 'sa.key'].every((name) => existsSync(path(name)))) return undefined;
  const read = (name: string) => readFileSync(path(name), 'utf8');
  const authority = { certificatePem: read('ca.crt'), keyPem: read('ca.key') };
  const tokens = createTokenSigner(signingKeyPem ?? read('sa.key'));
  return {
    async certificate(request, usages, seconds) {
      const { signRequest } = await import('./csr-signer.ts');
      return signRequest(authority, request, { usages, durationMs: seconds * 1000, nowMs: clock.now() });
    },
    secretToken: ({ namespace, secret, account, accountUid }) =>
      tokens.sign({
        iss: LEGACY_ISSUER,
        sub: serviceAccountUser(namespace, account),
        'kubernetes.io/serviceaccount/namespace': namespace,
        'kubernetes.io/serviceaccount/secret.name': secret,
        'kubernetes.io/serviceaccount/service-account.name': account,
        'kubernetes.io/serviceaccount/service-account.uid': accountUid,
      }),
  };
}
