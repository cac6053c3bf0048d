import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { createScheme } from '../../api/kinds/index.ts';
import type { ComponentStatus } from '../../api/types/core-v1.ts';
import { silentLogger as log } from '../../lib/log.ts';
import { layoutOf } from '../layout.ts';
import { type Beside, type BesideComponent, runBesideApiServer } from './beside.ts';
import { connect } from './connect.ts';
import { startApiServer } from './control-plane.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

it('component statuses are those of the parts that run beside the server', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'sampan-beside-'));
  stops.push(() => rmSync(dataDir, { recursive: true }));
  let beside: Beside | undefined;
  const check = (component: BesideComponent) => async () => {
    if (!beside) throw new Error('not started yet');
    return beside.check(component);
  };
  const server = await startApiServer({
    components: { scheduler: check('scheduler'), 'controller-manager': check('controller-manager') },
    layout: layoutOf(dataDir),
    store: 'memory',
    address: '127.0.0.1',
    advertiseAddress: '127.0.0.1',
    port: 0,
    serviceCidr: '10.96.0.0/24',
    tlsSans: [],
    nodeName: 'here',
    nodeIp: '127.0.0.1',
    log,
  });
  stops.push(() => server.stop());
  const { caPem, admin } = server.pki;
  const { client } = connect({ server: server.url, caPem, ...admin }, 'test', log);
  stops.push(() => client.close());
  const statuses = async () => {
    const ref = { group: '', version: 'v1', resource: 'componentstatuses', kind: 'ComponentStatus', namespaced: false };
    const { items } = await client.resource<ComponentStatus>(ref).list();
    return Object.fromEntries(
      items.map(({ metadata, conditions }) => [
        metadata.name,
        conditions?.map(({ status, message, error }) => [status, message ?? error]),
      ]),
    );
  };
  expect(await statuses()).toEqual({
    'etcd-0': [['True', 'ok']],
    scheduler: [['False', expect.stringContaining('not started yet')]],
    'controller-manager': [['False', expect.stringContaining('not started yet')]],
  });
  const running = runBesideApiServer(server, createScheme(), log);
  beside = running;
  stops.push(() => running.stop());
  expect(await statuses()).toEqual({
    'etcd-0': [['True', 'ok']],
    scheduler: [['True', 'ok']],
    'controller-manager': [['True', 'ok']],
  });
});
