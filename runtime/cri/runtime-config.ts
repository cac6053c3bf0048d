// RuntimeConfig and UpdateRuntimeConfig. The pod network is set when the runtime starts.
import { isDeepStrictEqual } from 'node:util';
import type { Call } from './context.ts';
import { invalidField } from './errors.ts';

export const runtimeConfig: Call<'RuntimeConfig'> = async () => ({ linux: { cgroupDriver: 'CGROUPFS' } });

export const updateRuntimeConfig: Call<'UpdateRuntimeConfig'> = async (context, request) => {
  const cidr = request.runtimeConfig?.networkConfig?.podCidr ?? '';
  if (cidr === '') return {};
  const wanted = cidr.split(',').map((part) => part.trim());
  if (context.podCidr !== undefined && !isDeepStrictEqual(wanted, context.podCidr.split(','))) {
    throw invalidField(
      'runtime_config.network_config.pod_cidr',
      `"${cidr}" differs from ${context.podCidr}, which was set when the runtime started`,
    );
  }
  return {};
};
