// The flags of an API server that concern how it is operated: encryption, audit, limits, shutdown, profiling; for `sampan up` and
// `sampan apiserver` alike. The names are kube-apiserver's. Loaded by every command: it imports nothing of a server.
import { type Command, InvalidArgumentError, Option } from 'commander';

export interface OperationsFlags {
  encryptionProviderConfig?: string;
  maxRequestsInflight?: number;
  maxMutatingRequestsInflight?: number;
  /** Milliseconds, like the other durations. */
  requestTimeout?: number;
  shutdownDelayDuration?: number;
  goawayChance?: number;
  profiling?: boolean;
  auditPolicyFile?: string;
  auditLogPath?: string;
  auditLogMaxage?: number;
  auditLogMaxbackup?: number;
  auditLogMaxsize?: number;
  auditLogMode?: 'batch' | 'blocking' | 'blocking-strict';
  auditWebhookConfigFile?: string;
  auditWebhookInitialBackoff?: number;
  auditWebhookBatchMaxSize?: number;
  auditWebhookBatchMaxWait?: number;
  auditWebhookBatchBufferSize?: number;
}

const count = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('not a whole number.');
  return Number(text);
};
const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** Milliseconds. */
const duration = (text: string): number => {
  const match = /^(\d{1,9})(ms|s|m|h)$/.exec(text);
  if (!match) throw new InvalidArgumentError('not a duration such as 500ms, 30s, 5m or 1h.');
  return Number(match[1]) * (UNITS[match[2] as string] as number);
};
const chance = (text: string): number => {
  const value = Number(text);
  if (text === '' || !(value >= 0 && value <= 0.02)) throw new InvalidArgumentError('not between 0 and 0.02.');
  return value;
};

export const withOperations = (command: Command): Command =>
  command
    .option(
      '--encryption-provider-config <file>',
      'EncryptionConfiguration (default: one for Secrets, made in the data directory at the first start)',
    )
    .option('--max-requests-inflight <number>', 'reads at a time, in priority and fairness', count, 400)
    .option('--max-mutating-requests-inflight <number>', 'writes at a time, in priority and fairness', count, 200)
    .option('--request-timeout <duration>', 'how long a request may take that is no watch', duration, 60_000)
    .option('--shutdown-delay-duration <duration>', 'go on serving that long after readyz began to fail', duration, 0)
    .option('--goaway-chance <number>', 'part of the HTTP/2 requests whose client is asked to connect anew', chance, 0)
    .option('--profiling', 'serve /debug to those who may get it')
    .option('--audit-policy-file <file>', 'audit policy (audit.k8s.io/v1); without one nothing is audited')
    .option('--audit-log-path <file>', "audit events as JSON lines; '-' is standard output")
    .option('--audit-log-maxage <days>', 'days that old audit log files are kept; 0: always', count, 0)
    .option('--audit-log-maxbackup <number>', 'old audit log files that are kept; 0: all', count, 0)
    .option('--audit-log-maxsize <megabytes>', 'size at which a new audit log file is begun; 0: never', count, 0)
    .addOption(
      new Option('--audit-log-mode <mode>', 'when audit events are written')
        .choices(['batch', 'blocking', 'blocking-strict'])
        .default('blocking'),
    )
    .option('--audit-webhook-config-file <file>', 'kubeconfig of a server that audit events are sent to')
    .option('--audit-webhook-initial-backoff <duration>', 'before a failed batch is sent again', duration, 10_000)
    .option('--audit-webhook-batch-max-size <number>', 'events of one batch', count, 400)
    .option('--audit-webhook-batch-max-wait <duration>', 'how long an event waits for others', duration, 30_000)
    .option('--audit-webhook-batch-buffer-size <number>', 'events that may wait; more are dropped', count, 10_000);
