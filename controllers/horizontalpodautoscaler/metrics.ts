// Where measurements come from: resource metrics of pods, metrics of objects, and external ones, each an API of its own that
// may be missing. What goes wrong is a reading too.
import { cpuMillis } from '../../api/quantity.ts';
import type { Scheme } from '../../api/scheme.ts';
import { formatLabelSelector } from '../../api/selectors.ts';
import { parseApiVersion } from '../../api/object.ts';
import type { MetricIdentifier, MetricSpec } from '../../api/types/autoscaling-v2.ts';
import type { LabelSelector } from '../../api/types/meta.ts';
import type { Client } from '../../client/index.ts';
import { messageOf } from '../parts/pod-control.ts';
import { parseTime } from '../parts/time.ts';
import type { Reading } from './plan.ts';
import { MetricError, type PodMetric } from './replicas.ts';

interface ResourceMetrics {
  items: {
    metadata: { name: string };
    timestamp: string;
    window: string;
    containers: { name: string; usage: Record<string, string> }[];
  }[];
}

interface CustomMetrics {
  items: {
    describedObject: { name: string };
    timestamp: string;
    windowSeconds?: number;
    window?: number;
    value: string;
  }[];
}

interface ExternalMetrics {
  items: { value: string }[];
}

const DEFAULT_WINDOW_MS = 60_000;

/** Go's durations as metrics servers write them: `15s`, `1m0.5s`. */
export function durationMs(text: string): number {
  const units: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/([0-9.]+)(ms|h|m|s)/g))
    sum += Number(number) * (units[unit as string] ?? 0);
  return sum;
}

export interface Measuring {
  client: Client;
  scheme: Scheme;
  namespace: string;
  /** The label selector of the target's pods. */
  selector: string;
}

/** Never throws but for bugs: a metric that cannot be had is a reading that says why. */
export async function read(spec: MetricSpec, where: Measuring): Promise<Reading> {
  try {
    if (spec.resource) return { pods: await resourceMetrics(where, spec.resource.name, undefined) };
    if (spec.containerResource) {
      const { name, container } = spec.containerResource;
      return { pods: await resourceMetrics(where, name, container) };
    }
    if (spec.pods) return { pods: await podsMetric(where, spec.pods.metric) };
    if (spec.object) return { value: await objectMetric(where, spec.object) };
    if (spec.external) return { value: await externalMetric(where, spec.external.metric) };
    return { error: 'invalid' };
  } catch (error) {
    return { error: messageOf(error) };
  }
}

const query = (pairs: Record<string, string>) => {
  const given = Object.entries(pairs).filter(([, value]) => value !== '');
  return given.length === 0 ? '' : `?${given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`;
};
const ask = async <T>(client: Client, path: string, whose: string): Promise<T> => {
  try {
    return await client.request<T>('GET', path);
  } catch (error) {
    throw new MetricError(`unable to fetch metrics from ${whose} metrics API: ${messageOf(error)}`);
  }
};

async function resourceMetrics(
  { client, namespace, selector }: Measuring,
  resource: string,
  container: string | undefined,
): Promise<Map<string, PodMetric>> {
  const about = (error: string) => new MetricError(`unable to get metrics for resource ${resource}: ${error}`);
  const path = `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods${query({ labelSelector: selector })}`;
  let list: ResourceMetrics;
  try {
    list = await ask<ResourceMetrics>(client, path, 'resource');
  } catch (error) {
    throw about(messageOf(error));
  }
  if (list.items.length === 0) throw about('no metrics returned from resource metrics API');
  const metrics = new Map<string, PodMetric>();
  for (const { metadata, timestamp, window, containers } of list.items) {
    const counted = containers.filter((each) => container === undefined || each.name === container);
    if (container !== undefined && counted.length === 0)
      throw about(`container ${container} not present in metrics for pod ${namespace}/${metadata.name}`);
    if (counted.length === 0 || counted.some((each) => each.usage[resource] === undefined)) continue;
    metrics.set(metadata.name, {
      value: counted.reduce((sum, each) => sum + cpuMillis(each.usage[resource]), 0),
      timestampMs: parseTime(timestamp),
      windowMs: durationMs(window) || DEFAULT_WINDOW_MS,
    });
  }
  return metrics;
}

/** The version that the metrics server prefers. */
async function customMetricsPath(client: Client): Promise<string> {
  const group = await ask<{ preferredVersion: { groupVersion: string } }>(
    client,
    '/apis/custom.metrics.k8s.io',
    'custom',
  );
  return `/apis/${group.preferredVersion.groupVersion}`;
}

const metricSelector = (selector: LabelSelector | undefined) => (selector ? formatLabelSelector(selector) : '');

async function podsMetric(
  { client, namespace, selector }: Measuring,
  metric: MetricIdentifier,
): Promise<Map<string, PodMetric>> {
  const options = query({ labelSelector: selector, metricLabelSelector: metricSelector(metric.selector) });
  const base = await customMetricsPath(client);
  const path = `${base}/namespaces/${namespace}/pods/*/${encodeURIComponent(metric.name)}${options}`;
  const list = await ask<CustomMetrics>(client, path, 'custom');
  if (list.items.length === 0) throw new MetricError('no metrics returned from custom metrics API');
  return new Map(
    list.items.map(({ describedObject, timestamp, windowSeconds, window, value }) => {
      const seconds = windowSeconds ?? window;
      const windowMs = seconds === undefined ? DEFAULT_WINDOW_MS : seconds * 1000;
      return [describedObject.name, { value: cpuMillis(value), timestampMs: parseTime(timestamp), windowMs }];
    }),
  );
}

async function objectMetric(
  { client, scheme, namespace }: Measuring,
  { describedObject, metric }: NonNullable<MetricSpec['object']>,
): Promise<number> {
  const { group = '' } = parseApiVersion(describedObject.apiVersion ?? '') ?? {};
  const kind = scheme.byGroupKind(group, describedObject.kind);
  if (!kind)
    throw new MetricError(
      `no matches for kind ${JSON.stringify(describedObject.kind)} in group ${JSON.stringify(group)}`,
    );
  const resource = group === '' ? kind.resource : `${kind.resource}.${group}`;
  const place = kind.namespaced ? `/namespaces/${namespace}/${resource}` : `/${resource}`;
  const options = query({ metricLabelSelector: metricSelector(metric.selector) });
  const base = await customMetricsPath(client);
  const path = `${base}${place}/${encodeURIComponent(describedObject.name)}/${encodeURIComponent(metric.name)}${options}`;
  const value = (await ask<CustomMetrics>(client, path, 'custom')).items[0]?.value;
  if (value === undefined) throw new MetricError('no metrics returned from custom metrics API');
  return cpuMillis(value);
}

async function externalMetric({ client, namespace }: Measuring, metric: MetricIdentifier): Promise<number> {
  const options = query({ labelSelector: metricSelector(metric.selector) });
  const path = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${namespace}/${encodeURIComponent(metric.name)}${options}`;
  const list = await ask<ExternalMetrics>(client, path, 'external');
  if (list.items.length === 0) throw new MetricError('no metrics returned from external metrics API');
  return list.items.reduce((sum, each) => sum + cpuMillis(each.value), 0);
}
