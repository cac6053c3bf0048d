import { expect, it } from 'vitest';
import { signedClusterInfo, TOKEN_TYPE } from '../../controllers/bootstraptokens/plan.ts';
import { selfSigned } from '../../kubelet/certificates/self-signed.ts';
import { readClusterInfo } from './discovery.ts';
import { caHash, isSigned, joinCommand, newToken, nextCidr, parseToken, tokenSecret } from './token.ts';

it('tokens are six and sixteen letters and digits', () => {
  const { id, secret } = newToken();
  expect(parseToken(`${id}.${secret}`)).toEqual({ id, secret });
  for (const text of ['', 'abc', 'ABCDEF.0123456789abcdef', 'abcdef.0123456789abcde']) {
    expect(() => parseToken(text)).toThrow('six and sixteen');
  }
});

it('each node gets the next range of pod addresses', () => {
  expect(nextCidr([])).toBe('10.244.0.0/24');
  expect(nextCidr(['10.244.0.0/24'])).toBe('10.244.1.0/24');
  expect(nextCidr(['10.244.0.0/24', '10.244.2.0/24', '10.244.1.0/24'])).toBe('10.244.3.0/24');
  expect(nextCidr(['10.0.255.0/24'])).toBe('10.1.0.0/24');
});

it('a cluster is known by what the token has signed and by the hash of its CA', async () => {
  const token = parseToken('abcdef.0123456789abcdef');
  const { certificatePem } = await selfSigned('ca', ['127.0.0.1'], Date.now());
  const hash = caHash(certificatePem);
  expect(hash).toMatch(/^sha256:[0-9a-f]{64}$/);
  const ca = Buffer.from(certificatePem).toString('base64');
  const kubeconfig = JSON.stringify({ clusters: [{ name: '', cluster: { 'certificate-authority-data': ca } }] });
  const made = tokenSecret(token, undefined, '10.244.1.0/24');
  const data = Object.fromEntries(
    Object.entries(made.stringData ?? {}).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  );
  expect(made.type).toBe(TOKEN_TYPE);
  const signed = signedClusterInfo({ metadata: {}, data: { kubeconfig } }, [{ ...made, data }], Date.now()) ?? {};
  expect(isSigned(kubeconfig, signed['jws-kubeconfig-abcdef'] ?? '', token)).toBe(true);
  expect(isSigned(`${kubeconfig} `, signed['jws-kubeconfig-abcdef'] ?? '', token)).toBe(false);

  const map = { metadata: {}, data: signed };
  expect(readClusterInfo(map, token, hash)).toEqual({ caPem: certificatePem });
  expect(() => readClusterInfo(map, { id: 'fedcba', secret: token.secret }, hash)).toThrow(
    'does not know token fedcba',
  );
  expect(() => readClusterInfo(map, { ...token, secret: '0'.repeat(16) }, hash)).toThrow('not signed with this token');
  const other = `sha256:${'0'.repeat(64)}`;
  expect(() => readClusterInfo(map, token, other)).toThrow('not the cluster that was meant');
  expect(joinCommand('https://10.0.0.1:6443', token, hash, '10.244.1.0/24')).toBe(
    `sampan join https://10.0.0.1:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash ${hash} --pod-cidr 10.244.1.0/24`,
  );
});
