// The file of --authorization-config, changed under a running server.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../apiserver/testing/server.ts';
import { accessOptions } from './access.ts';

let dir: string;
let file: string;
let server: TestServer;

/** As editors and mounts do it: another file in its place. */
function write(...entries: string[]): void {
  const head = 'apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n';
  writeFileSync(`${file}.new`, head + entries.map((each) => `- {${each}}\n`).join(''));
  renameSync(`${file}.new`, file);
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sampan-authorization-'));
  file = join(dir, 'authorization.yaml');
  write('type: RBAC, name: rbac');
  const { authorizers, authorizerSource } = await accessOptions({ authorizationConfig: file });
  server = await startTestServer({ authorizers: authorizers as never, authorizerSource });
});
afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

const ask = async () => (await server.call('GET', '/api/v1/nodes', { headers: { 'impersonate-user': 'jane' } })).code;
const metric = async (what: string) => {
  const { text } = await server.call('GET', '/metrics');
  return text.match(new RegExp(`^apiserver_authorization_config_controller_${what}.* (\\S+)$`, 'm'))?.[1];
};

it('comes in force when it is right, and is counted', async () => {
  const info = () =>
    server.call('GET', '/metrics').then(({ text }) => /last_config_info\{.*hash="(.*)"\} 1/.exec(text)?.[1]);
  const first = await info();
  expect(first).toMatch(/^sha256:/);
  expect(await ask()).toBe(403);
  write('type: RBAC, name: rbac', 'type: AlwaysAllow, name: alwaysallow');
  await expect.poll(ask, { timeout: 5000 }).toBe(200);
  expect(await metric('automatic_reloads_total\\{status="success"')).toBe('1');
  expect(Number(await metric('automatic_reload_last_timestamp_seconds\\{status="success"'))).toBeGreaterThan(1.7e9);
  expect(await info()).not.toBe(first);

  const failures = () => metric('automatic_reloads_total\\{status="failure"');
  write('type: ABAC, name: a');
  await expect.poll(failures, { timeout: 5000 }).toBe('1');
  // What Node decides from was not followed from the start.
  write('type: Node, name: node');
  await expect.poll(failures, { timeout: 5000 }).toBe('2');
  expect(await ask()).toBe(200);
  write('type: RBAC, name: rbac');
  await expect.poll(ask, { timeout: 5000 }).toBe(403);
});
