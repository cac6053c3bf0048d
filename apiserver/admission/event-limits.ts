// What an AdmissionConfiguration says of EventRateLimit. Pure.
import { configurationOf, list, oneOf, record } from './configuration-fields.ts';
import { type EventLimit, LIMIT_TYPES } from './event-rate-limit.ts';

const TYPES = [['eventratelimit.admission.k8s.io/v1alpha1', 'Configuration']] as const;

/** Throws with the field that is wrong. */
export function parseEventLimits(value: unknown, at: string): EventLimit[] {
  const limits = list(configurationOf(value, at, TYPES, ['limits']), 'limits', at);
  if (limits.length === 0) throw new Error(`${at}.limits: Invalid value: null: must not be empty`);
  return limits.map((each, i) => {
    const here = `${at}.limits[${i}]`;
    const fields = record(each, here, ['type', 'qps', 'burst', 'cacheSize']);
    const whole = (name: string, least: number, problem: string): number => {
      const number = fields[name] ?? 0;
      if (Number.isInteger(number) && (number as number) >= least) return number as number;
      throw new Error(`${here}.${name}: Invalid value: ${JSON.stringify(number)}: ${problem}`);
    };
    return {
      type: oneOf(fields, 'type', here, LIMIT_TYPES),
      burst: whole('burst', 1, 'must be positive'),
      qps: whole('qps', 1, 'must be positive'),
      cacheSize: whole('cacheSize', 0, 'must not be negative'),
    };
  });
}
