// What the flags of operations-flags.ts come to: files are read and refused before anything is started.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import type { AuditBackend, AuditMetrics } from '../../apiserver/audit/auditor.ts';
import { batchBackend, logBackend } from '../../apiserver/audit/backends.ts';
import { LogFile } from '../../apiserver/audit/log-file.ts';
import { parsePolicy } from '../../apiserver/audit/policy.ts';
import { sendEvents } from '../../apiserver/audit/webhook.ts';
import type { OperationsOptions } from '../../apiserver/operations.ts';
import { loadKubeconfig } from '../../client/kubeconfig.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { OperationsFlags } from './operations-flags.ts';
import { UserError } from '../user-error.ts';

/** Throws UserError when a file is missing or wrong. */
export function operationsOf(flags: OperationsFlags, log: Logger): OperationsOptions {
  return {
    ...(flags.maxRequestsInflight !== undefined && { maxRequestsInflight: flags.maxRequestsInflight }),
    ...(flags.maxMutatingRequestsInflight !== undefined && {
      maxMutatingRequestsInflight: flags.maxMutatingRequestsInflight,
    }),
    ...(flags.requestTimeout && { requestTimeoutMs: flags.requestTimeout }),
    ...(flags.shutdownDelayDuration && { shutdownDelayMs: flags.shutdownDelayDuration }),
    ...(flags.goawayChance && { goawayChance: flags.goawayChance }),
    ...(flags.profiling && { profiling: true, flags: { ...flags } }),
    ...auditOf(flags, log),
  };
}

function auditOf(flags: OperationsFlags, log: Logger): Pick<OperationsOptions, 'audit'> {
  const { auditPolicyFile, auditLogPath, auditWebhookConfigFile } = flags;
  if (!auditPolicyFile) {
    if (auditLogPath || auditWebhookConfigFile) {
      throw new UserError('nothing is audited without a policy: name one with --audit-policy-file');
    }
    return {};
  }
  const policy = (() => {
    try {
      return parsePolicy(readFileSync(auditPolicyFile, 'utf8'));
    } catch (error) {
      throw new UserError(`audit policy ${auditPolicyFile}: ${(error as Error).message}`);
    }
  })();
  const file = auditLogPath ? openLog(auditLogPath, flags) : undefined;
  const webhook = auditWebhookConfigFile ? readWebhook(auditWebhookConfigFile) : undefined;
  return {
    audit: {
      policy,
      backends: (metrics) => [
        ...(file ? [logOf(file, flags, metrics, log)] : []),
        ...(webhook ? [webhookOf(webhook, flags, metrics, log)] : []),
      ],
    },
  };
}

function openLog(path: string, flags: OperationsFlags): LogFile {
  try {
    return new LogFile({
      path,
      maxBytes: (flags.auditLogMaxsize ?? 0) * 1024 * 1024,
      maxAgeDays: flags.auditLogMaxage ?? 0,
      maxBackups: flags.auditLogMaxbackup ?? 0,
      clock: systemClock,
    });
  } catch (error) {
    throw new UserError(`audit log ${path}: ${(error as Error).message}`);
  }
}

function logOf(file: LogFile, flags: OperationsFlags, metrics: AuditMetrics, log: Logger): AuditBackend {
  const mode = flags.auditLogMode ?? 'blocking';
  const direct = logBackend(file, mode, metrics, log);
  if (mode !== 'batch') return direct;
  const batched = batchBackend({
    name: 'log',
    bufferSize: 10_000,
    maxBatchSize: 100,
    maxWaitMs: 1000,
    closeMs: 5000,
    send: async (events) => file.write(events.map((each) => `${each.json}\n`).join('')),
    clock: systemClock,
    metrics,
    log,
  });
  return {
    ...batched,
    async close() {
      await batched.close();
      await direct.close();
    },
  };
}

function readWebhook(path: string) {
  try {
    return loadKubeconfig({ path, context: undefined, env: {}, homeDir: homedir(), userAgent: 'sampan' }).config;
  } catch (error) {
    throw new UserError(`audit webhook ${path}: ${(error as Error).message}`);
  }
}

function webhookOf(
  target: ReturnType<typeof readWebhook>,
  flags: OperationsFlags,
  metrics: AuditMetrics,
  log: Logger,
): AuditBackend {
  const stop = new AbortController();
  const batched = batchBackend({
    name: 'webhook',
    bufferSize: flags.auditWebhookBatchBufferSize ?? 10_000,
    maxBatchSize: flags.auditWebhookBatchMaxSize ?? 400,
    maxWaitMs: flags.auditWebhookBatchMaxWait ?? 30_000,
    closeMs: 5000,
    send: (events) =>
      sendEvents(
        {
          url: target.server,
          caPem: target.caPem,
          certificatePem: target.certificatePem,
          keyPem: target.keyPem,
          token: typeof target.token === 'string' ? target.token : undefined,
          initialBackoffMs: flags.auditWebhookInitialBackoff ?? 10_000,
          clock: systemClock,
          signal: stop.signal,
        },
        events,
      ),
    clock: systemClock,
    metrics,
    log,
  });
  return {
    ...batched,
    close() {
      // What is tried again is given up; what was never sent has one try.
      stop.abort();
      return batched.close();
    },
  };
}
