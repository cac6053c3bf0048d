// An AuthorizationConfiguration that is read again while the server runs: what is right comes in force at once, what is wrong
// leaves the one before in force; both are counted.
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { MetricsRegistry } from '../../lib/metrics.ts';
import type { RunnableAuthorizer } from '../authorization.ts';

/** What was read, or what is wrong with it. `text`: of the file, as far as it could be read. */
export type Reload = { text: string; authorizers: readonly RunnableAuthorizer[] } | { error: Error };

export interface AuthorizerSource {
  /** Of the configuration the server begins with. */
  text: string;
  follow(changed: (found: Reload) => void): { close(): void };
}

const sha256 = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

/** `replace` throws when the authorizers do not fit the server. */
export function followAuthorizers(
  source: AuthorizerSource,
  options: {
    replace(authorizers: readonly RunnableAuthorizer[]): void;
    metrics: MetricsRegistry;
    clock: Clock;
    log: Logger;
  },
): { close(): void } {
  const { metrics, clock, log, replace } = options;
  const name = (what: string) => `apiserver_authorization_config_controller_${what}`;
  const labels = ['status', 'apiserver_id_hash'];
  const total = metrics.counter({
    name: name('automatic_reloads_total'),
    help: 'Total number of automatic reloads of authorization configuration split by status and apiserver identity.',
    labels,
    stability: 'BETA',
  });
  const last = metrics.gauge({
    name: name('automatic_reload_last_timestamp_seconds'),
    help: 'Timestamp of the last automatic reload of authorization configuration split by status and apiserver identity.',
    labels,
    stability: 'BETA',
  });
  const info = metrics.gauge({
    name: name('last_config_info'),
    help: 'Information about the last applied authorization configuration with hash as label, split by apiserver identity.',
    labels: ['apiserver_id_hash', 'hash'],
  });
  const id = sha256(`apiserver-${hostname()}`);
  const count = (status: 'success' | 'failure') => {
    total.with(status, id).inc();
    last.with(status, id).set(clock.now() / 1000);
  };
  let applied = sha256(source.text);
  info.with(id, applied).set(1);
  return source.follow((found) => {
    try {
      if ('error' in found) throw found.error;
      replace(found.authorizers);
      info.delete(id, applied);
      applied = sha256(found.text);
      info.with(id, applied).set(1);
      count('success');
      log.info({ authorizers: found.authorizers.map((each) => each.name) }, 'authorization configuration read again');
    } catch (error) {
      count('failure');
      log.error({ err: error }, 'authorization configuration is wrong: the one before stays in force');
    }
  });
}
