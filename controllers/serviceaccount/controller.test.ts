import { describe, expect, it } from 'vitest';
import { configMap as configMapKind } from '../../api/kinds/config-map.ts';
import { namespace as namespaceKind } from '../../api/kinds/namespace.ts';
import { serviceAccount as serviceAccountKind } from '../../api/kinds/service-account.ts';
import type { ConfigMap } from '../../api/types/core-v1.ts';
import { NetworkError } from '../../client/index.ts';
import { settle } from '../../lib/clock.ts';
import { startHarness } from '../testing/harness.ts';
import { runRootCaPublisher, runServiceAccountController } from './controller.ts';

describe('a new namespace', () => {
  it('is usable without any time passing, and stays so', async () => {
    const harness = startHarness([runServiceAccountController, runRootCaPublisher]);
    await harness.run();
    const startMs = harness.clock.now();
    await harness.create(namespaceKind, { metadata: { name: 'dev' } });
    for (let i = 0; i < 5; i++) await settle();
    expect(harness.clock.now()).toBe(startMs);
    const account = () => harness.client.object(serviceAccountKind, 'dev/default');
    const ca = () => harness.client.object<ConfigMap>(configMapKind, 'dev/kube-root-ca.crt');
    expect(account()).toBeDefined();
    expect(ca()?.data).toEqual({ 'ca.crt': 'CA' });
    harness.client.change(serviceAccountKind, 'dev/default', () => undefined);
    harness.client.change<ConfigMap>(configMapKind, 'dev/kube-root-ca.crt', (each) => ({
      ...each,
      data: { 'ca.crt': 'forged' },
    }));
    await harness.run();
    expect(account()).toBeDefined();
    expect(ca()?.data).toEqual({ 'ca.crt': 'CA' });
    harness.client.change(configMapKind, 'dev/kube-root-ca.crt', () => undefined);
    await harness.run();
    expect(ca()).toBeDefined();
    harness.takeWrites();
    harness.client.compact();
    harness.client.dropWatches();
    await harness.run(10_000);
    expect(harness.takeWrites()).toEqual([]);
    await harness.stop();
  });

  it('gets its things when the server answers at last', async () => {
    let down = true;
    const harness = startHarness([runServiceAccountController, runRootCaPublisher], {
      before: () => {
        if (down) throw new NetworkError('connection refused');
      },
    });
    await harness.run(5_000);
    down = false;
    await harness.create(namespaceKind, { metadata: { name: 'dev' } });
    await harness.run(10_000);
    expect(harness.client.object(serviceAccountKind, 'dev/default')).toBeDefined();
    await harness.stop();
  });
});
