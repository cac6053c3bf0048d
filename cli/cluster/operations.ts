// Options of an API server that concern how it is operated: encryption, audit, limits, shutdown, profiling. One place, for
// `sampan up` and `sampan apiserver` alike.
import type { Command } from 'commander';

export interface OperationsFlags {
  encryptionProviderConfig?: string;
}

export const withOperations = (command: Command): Command =>
  command.option(
    '--encryption-provider-config <file>',
    'EncryptionConfiguration (default: one for Secrets, made in the data directory at the first start)',
  );
