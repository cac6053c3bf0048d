// How long admission takes, under upstream's names.
import { type Histogram, type MetricsRegistry } from '../../lib/metrics.ts';
import type { AdmissionObserver } from './chain.ts';

const SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 2.5];

export function observeAdmission(registry: MetricsRegistry): AdmissionObserver {
  const controllers = registry.histogram({
    name: 'apiserver_admission_controller_admission_duration_seconds',
    help: 'Admission controller latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).',
    labels: ['name', 'operation', 'rejected', 'type'],
    stability: 'STABLE',
    buckets: SECONDS,
  });
  const steps = registry.histogram({
    name: 'apiserver_admission_step_admission_duration_seconds',
    help: 'Admission sub-step latency histogram in seconds, broken out for each operation and API resource and step type (validate or admit).',
    labels: ['operation', 'rejected', 'type'],
    stability: 'STABLE',
    buckets: SECONDS,
  });
  // Few and known: found with one look-up.
  const known = new Map<string, Histogram>();
  const find = (key: string, make: () => Histogram): Histogram => {
    let found = known.get(key);
    if (!found) known.set(key, (found = make()));
    return found;
  };
  return {
    plugin(name, type, operation, rejected, seconds) {
      find(`${name} ${type} ${operation} ${rejected}`, () =>
        controllers.with(name, operation, String(rejected), type),
      ).observe(seconds);
    },
    step(type, operation, rejected, seconds) {
      find(`${type} ${operation} ${rejected}`, () => steps.with(operation, String(rejected), type)).observe(seconds);
    },
  };
}
