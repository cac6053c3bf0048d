// Programs that know credentials: real ones, asked only for their images, and no more often than they say.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { CredentialProviders, readCredentialProviders } from './credential-providers.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'providers-test-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const provider = (more: object = {}) => ({
  name: 'cloud',
  matchImages: ['*.registry.example.com'],
  defaultCacheDuration: '1h',
  apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
  ...more,
});
const config = (...providers: object[]) => ({
  apiVersion: 'kubelet.config.k8s.io/v1',
  kind: 'CredentialProviderConfig',
  providers,
});

/** A program that writes down what it is asked and answers. */
function program(answer: object | string): void {
  const text = typeof answer === 'string' ? answer : JSON.stringify(answer);
  writeFileSync(join(dir, 'answer'), text);
  const script = `#!/bin/sh\n{ echo "$1 $REGION"; cat; echo; } >> ${dir}/asked\ncat ${dir}/answer\n`;
  writeFileSync(join(dir, 'cloud'), script);
  chmodSync(join(dir, 'cloud'), 0o755);
}

const response = (more: object = {}) => ({
  apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
  kind: 'CredentialProviderResponse',
  cacheKeyType: 'Registry',
  auth: { '*.registry.example.com': { username: 'u', password: 'p' }, 'elsewhere.example.com': { username: 'x' } },
  ...more,
});

const asked = () => {
  const path = join(dir, 'asked');
  return existsSync(path) ? readFileSync(path, 'utf8').match(/"image":"[^"]*"/g)?.length : 0;
};

describe('credential providers', () => {
  const make = (clock: FakeClock) => {
    const env = [{ name: 'REGION', value: 'north' }];
    const providers = readCredentialProviders(config(provider({ args: ['get'], env })));
    return new CredentialProviders({ providers, binDir: dir, clock, log: silentLogger });
  };

  it('are asked for their images, once per registry until their answer is old', async () => {
    program(response());
    const clock = new FakeClock();
    const providers = make(clock);
    const image = 'a.registry.example.com/team/app:1';
    const auth = [{ username: 'u', password: 'p', serverAddress: '*.registry.example.com' }];
    expect(await providers.credentialsFor('docker.io/library/nginx')).toEqual([]);
    expect(asked()).toBe(0);
    expect(await providers.credentialsFor(image)).toEqual(auth);
    expect(await providers.credentialsFor('a.registry.example.com/other')).toEqual(auth);
    expect(asked()).toBe(1);
    expect(readFileSync(join(dir, 'asked'), 'utf8')).toBe(
      `get north\n{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"${image}"}\n`,
    );
    await clock.advance(3_600_000);
    await providers.credentialsFor(image);
    expect(asked()).toBe(2);
  });

  it('that forbid it are not remembered, and those that fail know nothing', async () => {
    program(response({ cacheDuration: '0s' }));
    const providers = make(new FakeClock());
    const ask = () => providers.credentialsFor('a.registry.example.com/app');
    await ask();
    await ask();
    expect(asked()).toBe(2);
    program('no JSON');
    expect(await ask()).toEqual([]);
    program(response({ cacheKeyType: 'Moon' }));
    expect(await ask()).toEqual([]);
  });

  it('have to be there', () => {
    expect(() => make(new FakeClock())).toThrow(`plugin binary executable ${dir}/cloud did not exist`);
  });

  it.each([
    [{ kind: 'x' }, 'CredentialProviderConfig'],
    [config(), 'providers: at least 1 item required'],
    [config(provider({ name: '../x' })), 'providers[0].name'],
    [config(provider({ matchImages: [] })), 'providers[0].matchImages: at least 1 item required'],
    [config(provider({ apiVersion: 'v0' })), 'providers[0].apiVersion: "v0" is not supported'],
    [config(provider({ tokenAttributes: {} })), 'providers[0].tokenAttributes: is not supported by this kubelet'],
    [config(provider(), provider()), 'name "cloud" is there twice'],
  ])('are refused: %#', (document, message) => {
    expect(() => readCredentialProviders(document)).toThrow(message);
  });
});
