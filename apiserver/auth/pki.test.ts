// The cluster's certificates: made once, private, verifiable, renewed when near expiry, extended for new names.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { FakeClock } from '../../lib/clock.ts';
import { ensureClusterPki } from './pki.ts';

const dir = mkdtempSync(join(tmpdir(), 'sampan-pki-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

it('makes, keeps and renews', async () => {
  const clock = new FakeClock(Date.now());
  const options = { clock, nodeNames: ['n1'], nodeSans: { n1: ['10.1.2.3'] } };
  const first = await ensureClusterPki(join(dir, 'pki'), options);
  const ca = new X509Certificate(first.caPem);
  const serving = new X509Certificate(first.apiserver.certificatePem);
  expect(serving.verify(ca.publicKey)).toBe(true);
  for (const name of ['localhost', 'kubernetes.default.svc.cluster.local'])
    expect(serving.checkHost(name), name).toBe(name);
  for (const ip of ['127.0.0.1', '10.96.0.1']) expect(serving.checkIP(ip), ip).toBe(ip);
  expect(new X509Certificate(first.nodes['n1']?.client.certificatePem as string).subject).toBe(
    'O=system:nodes\nCN=system:node:n1',
  );
  expect(new X509Certificate(first.nodes['n1']?.serving.certificatePem as string).checkIP('10.1.2.3')).toBe('10.1.2.3');
  expect(new X509Certificate(first.admin.certificatePem).subject).toBe('O=system:masters\nCN=kubernetes-admin');
  expect(statSync(join(dir, 'pki')).mode & 0o777).toBe(0o700);
  for (const each of readdirSync(join(dir, 'pki')).filter((name) => name !== 'nodes')) {
    expect(statSync(join(dir, 'pki', each)).mode & 0o777, each).toBe(0o600);
  }
  expect(await ensureClusterPki(join(dir, 'pki'), options)).toEqual(first);

  const named = await ensureClusterPki(join(dir, 'pki'), { ...options, extraSans: ['api.example.com'] });
  expect(new X509Certificate(named.apiserver.certificatePem).checkHost('api.example.com')).toBe('api.example.com');
  expect(named.caPem).toBe(first.caPem);
  expect(named.admin).toEqual(first.admin);

  await clock.advance(320 * 24 * 3600 * 1000);
  const renewed = await ensureClusterPki(join(dir, 'pki'), options);
  expect(renewed.admin.certificatePem).not.toBe(first.admin.certificatePem);
  expect(renewed.serviceAccountKeyPem).toBe(first.serviceAccountKeyPem);
  expect(renewed.caPem).toBe(first.caPem);
});
