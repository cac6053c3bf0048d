import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadKubeconfig, renderKubeconfig } from './kubeconfig.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const write = (name: string, text: string) => {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
};
const load = (options: { path?: string; context?: string; env?: Record<string, string> }) =>
  loadKubeconfig({ env: {}, homeDir: directory, userAgent: 'test', ...options });

describe('kubeconfig', () => {
  it('reads back what it renders', () => {
    const config = {
      server: 'https://127.0.0.1:6443',
      caPem: 'CA',
      certificatePem: 'CERT',
      keyPem: 'KEY',
      userAgent: 'test',
    };
    const path = write('config', renderKubeconfig(config, { cluster: 'sampan', user: 'admin', namespace: 'dev' }));
    expect(load({ path })).toEqual({ config, context: 'admin@sampan', namespace: 'dev' });
  });

  it('reads ~/.kube/config, files beside it and token files', () => {
    mkdirSync(join(directory, '.kube'));
    write('.kube/ca.pem', 'CA');
    write('.kube/token', 'secret\n');
    write(
      '.kube/config',
      `
clusters: [{name: c, cluster: {server: 'https://h:1/', certificate-authority: ca.pem}}]
users: [{name: u, user: {tokenFile: token}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`,
    );
    expect(load({})).toEqual({
      config: { server: 'https://h:1', caPem: 'CA', token: 'secret', userAgent: 'test' },
      context: 'x',
      namespace: 'default',
    });
  });

  it('merges the files of KUBECONFIG, the first one wins, missing ones are skipped', () => {
    const a = write('a', `{current-context: x, clusters: [{name: c, cluster: {server: 'https://a'}}]}`);
    const b = write(
      'b',
      `{current-context: y, clusters: [{name: c, cluster: {server: 'https://b'}}], users: [{name: u, user: {token: t}}], contexts: [{name: x, context: {cluster: c, user: u}}]}`,
    );
    expect(load({ env: { KUBECONFIG: `${a}:/nowhere:${b}` } }).config).toEqual({
      server: 'https://a',
      token: 't',
      userAgent: 'test',
    });
  });

  it.each([
    ['users: [{name: u, user: {exec: {command: aws}}}]', 'user "u" uses exec, which is not supported'],
    ['users: [{name: u, user: {auth-provider: {name: gcp}}}]', 'uses auth-provider'],
    ['users: []', 'no user "u"'],
    ['users: [', 'is not YAML'],
  ])('refuses %s', (users, message) => {
    const path = write(
      'config',
      `current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://h'}}]\n${users}\n`,
    );
    expect(() => load({ path })).toThrow(message);
  });

  it('says what is missing', () => {
    expect(() => load({})).toThrow('no kubeconfig found');
    expect(() => load({ path: '/nowhere' })).toThrow('cannot read kubeconfig /nowhere');
    expect(() => load({ path: write('c', 'clusters: []') })).toThrow('names no current-context');
    expect(() => load({ path: write('c', 'clusters: []'), context: 'z' })).toThrow('no context "z"');
  });
});
