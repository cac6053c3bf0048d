import { storeContract } from './contract.ts';
import { createEtcdStore } from './etcd.ts';
import { startEtcd, type TestEtcd } from './testing/etcd.ts';

let etcd: TestEtcd;
let roots = 0;

storeContract('etcd', {
  async start() {
    etcd = await startEtcd();
  },
  async open(options) {
    const root = `/registry-${roots++}/`;
    return { store: createEtcdStore({ endpoints: [etcd.endpoint], prefix: root, ...options }), root };
  },
  async advance() {},
  stop: () => etcd.stop(),
});
