// sampan demo: the main job from nothing: a cluster, an image built here, a Deployment with a Secret and a Service, an answer.
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Deployment } from '../../api/types/apps-v1.ts';
import { refs } from '../../client/refs.ts';
import type { Pod, Service } from '../../api/types/core-v1.ts';
import type { Client } from '../../client/port.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import type { NodeFlags } from '../cluster/options.ts';
import { buildOnNode } from '../image-client.ts';
import { readManifests } from '../manifests.ts';
import { createProgress, type Progress } from '../progress.ts';
import { UserError } from '../user-error.ts';
import { apply } from './apply.ts';
import { interrupted } from './interrupted.ts';
import { sleep } from '../../lib/abort.ts';
import { systemClock } from '../../lib/clock.ts';

interface DemoFlags extends NodeFlags {
  once?: boolean;
  dataDir?: string;
  port: number;
  logLevel: 'debug' | 'info' | 'warn' | 'error';
}

const IMAGE = 'localhost/hello:1.0';
const root = resolve(import.meta.dirname, '../..');

export async function demo(flags: DemoFlags): Promise<void> {
  const progress = createProgress(process.stderr);
  const interrupt = interrupted();
  const dataDir = flags.dataDir ?? mkdtempSync(join(tmpdir(), 'sampan-demo-'));
  const isTemporary = flags.dataDir === undefined;
  let cluster: Cluster | undefined;
  try {
    cluster = await startCluster(
      { ...flags, dataDir, store: 'embedded', address: '0.0.0.0', serviceCidr: '10.96.0.0/12' },
      progress,
    );
    const running = cluster;
    const outcome = await Promise.race([
      show(running, progress).then(() => 'shown' as const),
      interrupt.then(() => 'interrupted' as const),
    ]);
    if (outcome === 'shown' && !flags.once) {
      progress.note(usage(running));
      await Promise.race([interrupt, running.askedToStop]);
    }
  } finally {
    if (cluster) {
      const step = progress.step('ending pods and node');
      await cluster.stop();
      step.done();
    }
    if (isTemporary) rmSync(dataDir, { recursive: true, force: true });
  }
}

async function show(cluster: Cluster, progress: Progress): Promise<void> {
  await buildImage(cluster, progress);

  const applyStep = progress.step('apply examples/hello/hello.yaml');
  const lines: string[] = [];
  const manifests = readManifests([join(root, 'examples/hello/hello.yaml')]);
  await apply({ client: cluster.client, namespace: 'default' }, manifests, (line) => lines.push(line));
  applyStep.done(lines.join(', '));

  const waitStep = progress.step('pods Running and Ready');
  await deploymentAvailable(cluster.client, (detail) => waitStep.update(detail));
  waitStep.done(await podSummary(cluster.client));

  const service = await cluster.client.resource<Service>(refs.services, 'hello').get('hello');
  const address = `http://${service.spec?.clusterIP}/`;
  const callStep = progress.step(`call the Service at ${address}`);
  const answer = await call(address);
  const body = (await answer.text()).trimEnd();
  if (!answer.ok) throw new UserError(`the Service answered ${answer.status}: ${body}`);
  callStep.done();
  process.stdout.write(`${body}\n`);
}

const CALL_TIMEOUT_MS = 10_000;
const CALL_RETRY_MS = 50;

/** The node's proxy hears of endpoints a moment after the pods are Ready: until then the connection is refused. */
async function call(address: string): Promise<Response> {
  const signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
  for (;;) {
    try {
      return await fetch(address, { signal });
    } catch (error) {
      const { cause = error } = error as Error;
      if (signal.aborted) throw new UserError(`the Service at ${address} does not answer: ${String(cause)}`);
      await sleep(systemClock, CALL_RETRY_MS);
    }
  }
}

async function buildImage(cluster: Cluster, progress: Progress): Promise<void> {
  const step = progress.step(`build ${IMAGE}`);
  const busybox = process.env['SAMPAN_BUSYBOX'] ?? join(root, '.cache/tools/bin/busybox');
  if (!existsSync(busybox)) throw new UserError(`${busybox} is missing: run scripts/setup`);
  const context = mkdtempSync(join(tmpdir(), 'sampan-build-'));
  try {
    cpSync(join(root, 'examples/hello/image'), context, { recursive: true });
    cpSync(busybox, join(context, 'busybox'));
    await buildOnNode(cluster.layout.criSocket, { contextDir: context, tags: [IMAGE] }, (line) => step.update(line));
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
  step.done();
}

/** Watches the Deployment until every replica of its newest generation is available. */
async function deploymentAvailable(client: Client, onProgress: (detail: string) => void): Promise<void> {
  const controller = new AbortController();
  try {
    const watch = client.resource<Deployment>(refs.deployments, 'hello').watch({
      fieldSelector: 'metadata.name=hello',
      sendInitialEvents: true,
      signal: controller.signal,
    });
    for await (const event of watch) {
      if (event.type === 'BOOKMARK' || event.type === 'DELETED') continue;
      const { spec, status, metadata } = event.object;
      const wanted = spec?.replicas ?? 1;
      const available = status?.availableReplicas ?? 0;
      onProgress(`${available}/${wanted} available`);
      if (status?.observedGeneration === metadata.generation && available === wanted) return;
    }
    throw new Error('the API server ended the watch');
  } finally {
    controller.abort();
  }
}

async function podSummary(client: Client): Promise<string> {
  const { items } = await client.resource<Pod>(refs.pods, 'hello').list();
  return items.map((pod) => `${pod.metadata.name} ${pod.status?.podIP}`).join(', ');
}

function usage(cluster: Cluster): string {
  const { kubeconfig, dataDir, logDir } = cluster.layout;
  return `
The cluster goes on running. In another terminal:

  export KUBECONFIG=${kubeconfig}
  kubectl get pods,svc -n hello -o wide
  kubectl exec -n hello deploy/hello -- id
  kubectl logs -n hello deploy/hello

or, without kubectl:

  ${join(root, 'scripts/sampan')} --help
  ${join(root, 'scripts/sampan')} get pods -A --data-dir ${dataDir}

Logs are in ${logDir}. Ctrl-C ends everything and leaves nothing behind.`;
}
