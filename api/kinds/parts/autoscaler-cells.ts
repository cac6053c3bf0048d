// How autoscalers of both versions are printed: what is measured against what is wanted.
import { age } from '../../duration.ts';
import type { Cell } from '../../kind.ts';
import { canonicalQuantity } from '../../quantity.ts';
import type { HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget } from '../../types/autoscaling-v2.ts';

export const AUTOSCALER_COLUMNS = ['Name:string:name', 'Reference', 'Targets', 'MinPods', 'MaxPods', 'Replicas', 'Age'];

const SHOWN = 2;
const SOURCES = {
  Object: 'object',
  Pods: 'pods',
  Resource: 'resource',
  External: 'external',
  ContainerResource: 'containerResource',
} as const;

export function autoscalerCells(object: HorizontalPodAutoscaler, nowMs: number): Cell[] {
  const { spec, status, metadata } = object;
  const metrics = (spec?.metrics ?? []).map((each, i) => metricText(each, status?.currentMetrics?.[i]));
  const more = metrics.length > SHOWN ? ` + ${metrics.length - SHOWN} more...` : '';
  return [
    metadata.name ?? '',
    `${spec?.scaleTargetRef?.kind ?? ''}/${spec?.scaleTargetRef?.name ?? ''}`,
    metrics.length === 0 ? '<none>' : metrics.slice(0, SHOWN).join(', ') + more,
    spec?.minReplicas === undefined ? '<unset>' : String(spec.minReplicas),
    spec?.maxReplicas ?? 0,
    status?.currentReplicas ?? 0,
    age(metadata.creationTimestamp, nowMs),
  ];
}

function metricText(spec: MetricSpec, status: MetricStatus | undefined): string {
  if (!Object.hasOwn(SOURCES, spec.type ?? '')) return '<unknown type>';
  const name = SOURCES[spec.type as keyof typeof SOURCES];
  const target: Partial<MetricTarget> = spec[name]?.target ?? {};
  const current = status?.[name]?.current ?? {};
  const quantity = (value: string | number | undefined) =>
    value === undefined ? '<unknown>' : canonicalQuantity(value);
  if (name === 'pods') return `${quantity(current.averageValue)}/${quantity(target.averageValue ?? 0)}`;
  if (name === 'object' || name === 'external') {
    if (target.averageValue !== undefined) {
      return `${quantity(current.averageValue)}/${quantity(target.averageValue)} (avg)`;
    }
    return `${quantity(current.value)}/${quantity(target.value ?? 0)}`;
  }
  const resource = spec[name]?.name ?? '';
  if (target.averageValue !== undefined) {
    return `${resource}: ${quantity(current.averageValue)}/${quantity(target.averageValue)}`;
  }
  const percent = (value: number | undefined, none: string) => (value === undefined ? none : `${value}%`);
  const measured = percent(current.averageUtilization, '<unknown>');
  return `${resource}: ${measured}/${percent(target.averageUtilization, '<auto>')}`;
}
