// sampan up: a cluster in the foreground, until Ctrl-C or `sampan down`.
import { startCluster } from '../cluster/cluster.ts';
import type { UpFlags } from '../cluster/options.ts';
import { releaseAtRest } from '../../lib/rest.ts';
import { createProgress } from '../progress.ts';
import { interrupted } from './interrupted.ts';

export async function up(flags: UpFlags): Promise<void> {
  const progress = createProgress(process.stderr);
  const interrupt = interrupted();
  const cluster = await startCluster(flags, progress);
  releaseAtRest();
  progress.note(`
The cluster is ready. In another terminal:

  export KUBECONFIG=${cluster.layout.kubeconfig}
  kubectl get nodes                     (or: sampan get nodes)
  kubectl apply -f examples/hello/hello.yaml

Logs are in ${cluster.layout.logDir}. Ctrl-C ends the cluster and its containers; objects are kept.`);
  await Promise.race([interrupt, cluster.askedToStop]);
  const step = progress.step('ending pods and node');
  await cluster.stop();
  step.done();
}
