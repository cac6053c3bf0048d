// Version: who answers, and which API it speaks.
import type { Call } from './context.ts';

export const version: Call<'Version'> = async (context) => ({
  version: '0.1.0',
  runtimeName: 'sampan',
  runtimeVersion: context.version,
  runtimeApiVersion: 'v1',
});
