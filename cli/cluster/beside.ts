// Scheduler and controllers beside the API server, each as its own user through its own client.
import type { Scheme } from '../../api/scheme.ts';
import { runControllers } from '../../controllers/index.ts';
import type { Logger } from '../../lib/log.ts';
import { runScheduler } from '../../scheduler/index.ts';
import { connect } from './connect.ts';
import type { RunningApiServer } from './control-plane.ts';

/** Starts both; `stop` resolves when both have settled. */
export function runBesideApiServer(server: RunningApiServer, scheme: Scheme, log: Logger): { stop(): Promise<void> } {
  const controller = new AbortController();
  const { pki, url } = server;
  const as = (user: { certificatePem: string; keyPem: string }) => ({ server: url, caPem: pki.caPem, ...user });
  const scheduler = connect(as(pki.scheduler), 'default-scheduler', log.child({ part: 'scheduler' }));
  const controllers = connect(as(pki.controllerManager), 'controller-manager', log.child({ part: 'controllers' }));
  const work = [
    scheduler.informers.run(controller.signal),
    runScheduler(scheduler, controller.signal),
    controllers.informers.run(controller.signal),
    runControllers({ ...controllers, rootCaPem: pki.caPem, scheme, signing: server.signing }, controller.signal),
  ].map((each) => each.catch((error: unknown) => log.error({ err: error }, 'a component of the control plane ended')));
  return {
    async stop() {
      await Promise.all([scheduler.events.flush(), controllers.events.flush()]);
      controller.abort();
      await Promise.all(work);
      scheduler.client.close();
      controllers.client.close();
    },
  };
}
