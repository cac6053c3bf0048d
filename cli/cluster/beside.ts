// Scheduler and controllers beside the API server, each as its own user through its own client.
import type { Scheme } from '../../api/scheme.ts';
import { runControllers } from '../../controllers/index.ts';
import type { Logger } from '../../lib/log.ts';
import { runScheduler } from '../../scheduler/index.ts';
import { connect } from './connect.ts';
import type { RunningApiServer } from './control-plane.ts';

export type BesideComponent = 'scheduler' | 'controller-manager';

export interface Beside {
  /** `ok`, or throws what has ended the component. */
  check(component: BesideComponent): string;
  /** Resolves when both have settled. */
  stop(): Promise<void>;
}

/** Starts both. */
export function runBesideApiServer(server: RunningApiServer, scheme: Scheme, log: Logger): Beside {
  const controller = new AbortController();
  const { pki, url } = server;
  const as = (user: { certificatePem: string; keyPem: string }) => ({ server: url, caPem: pki.caPem, ...user });
  const scheduler = connect(as(pki.scheduler), 'default-scheduler', log.child({ part: 'scheduler' }));
  const controllers = connect(as(pki.controllerManager), 'controller-manager', log.child({ part: 'controllers' }));
  const ended = new Map<BesideComponent, unknown>();
  const keep = (component: BesideComponent, work: Promise<unknown>) =>
    work.catch((error: unknown) => {
      ended.set(component, error);
      log.error({ err: error, component }, 'a component of the control plane ended');
    });
  const work = [
    keep('scheduler', scheduler.informers.run(controller.signal)),
    keep('scheduler', runScheduler(scheduler, controller.signal)),
    keep('controller-manager', controllers.informers.run(controller.signal)),
    keep(
      'controller-manager',
      runControllers({ ...controllers, rootCaPem: pki.caPem, scheme, signing: server.signing }, controller.signal),
    ),
  ];
  return {
    check(component) {
      if (ended.has(component)) throw new Error(`ended: ${String(ended.get(component))}`);
      return 'ok';
    },
    async stop() {
      await Promise.all([scheduler.events.flush(), controllers.events.flush()]);
      controller.abort();
      await Promise.all(work);
      scheduler.client.close();
      controllers.client.close();
    },
  };
}
