// The query parameters and bodies that say how to write: dryRun, fieldValidation, DeleteOptions. Bad ones are 400 or 422.
import { errors } from '../../api/errors.ts';
import { fieldErrors } from '../../api/field-error.ts';
import { validateFieldManager } from '../../api/metadata.ts';
import type { DeleteOptions } from '../../api/types/meta.ts';
import type { OperationOptions } from '../admission/chain.ts';
import { isTrue } from './request-info.ts';

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

export interface WriteOptions {
  dryRun: boolean;
  fieldValidation: FieldValidation;
  /** Empty when the query names none. */
  fieldManager: string;
  /** Of an apply: takes what others own. */
  force: boolean;
}

/** `options`: the options type that upstream names in the message, such as CreateOptions. */
export function writeOptions(query: URLSearchParams, options: string, isApply = false): WriteOptions {
  const found = [];
  const manager = query.get('fieldManager') ?? '';
  const force = query.get('force');
  if (isApply && manager === '') found.push(fieldErrors.required('fieldManager', 'is required for apply patch'));
  if (options === 'PatchOptions' && !isApply && force !== null) {
    found.push(fieldErrors.forbidden('force', 'may not be specified for non-apply patch'));
  }
  if (manager) found.push(...validateFieldManager(manager, 'fieldManager'));
  const dryRun = query.getAll('dryRun').filter((each) => each !== '');
  if (dryRun.some((each) => each !== 'All')) found.push(fieldErrors.notSupported('dryRun', dryRun, ['All']));
  const validation = query.get('fieldValidation') || 'Warn';
  if (!['Ignore', 'Warn', 'Strict'].includes(validation)) {
    found.push(fieldErrors.notSupported('fieldValidation', validation, ['', 'Ignore', 'Warn', 'Strict']));
  }
  if (found.length > 0) throw errors.invalid({ group: 'meta.k8s.io', kind: options }, '', found);
  return {
    dryRun: dryRun.length > 0,
    fieldValidation: validation as FieldValidation,
    fieldManager: manager,
    force: force !== null && isTrue(force),
  };
}

const OPTIONS_OF: Readonly<Record<string, string>> = {
  POST: 'CreateOptions',
  PUT: 'UpdateOptions',
  PATCH: 'PatchOptions',
  DELETE: 'DeleteOptions',
};

/** The same as the options object that admission is shown; `query` was checked before. */
export function operationOptions(method: string, query: URLSearchParams): OperationOptions {
  const dryRun = query.getAll('dryRun').filter((each) => each !== '');
  const force = query.get('force');
  const fieldManager = query.get('fieldManager');
  const fieldValidation = query.get('fieldValidation');
  return {
    kind: OPTIONS_OF[method] ?? 'UpdateOptions',
    apiVersion: 'meta.k8s.io/v1',
    ...(dryRun.length > 0 && { dryRun }),
    ...(method === 'PATCH' && force !== null && { force: isTrue(force) }),
    ...(fieldManager && { fieldManager }),
    ...(fieldValidation && { fieldValidation }),
  };
}

/** DeleteOptions of a DELETE: the body's when there is one, else the query's. */
export function deleteOptions(body: Partial<DeleteOptions> | undefined, query: URLSearchParams): DeleteOptions {
  const options: DeleteOptions = { ...body };
  if (!body) {
    const grace = query.get('gracePeriodSeconds');
    if (grace !== null && grace !== '') {
      if (!/^-?\d{1,15}$/.test(grace)) {
        throw errors.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(grace)}: invalid syntax`);
      }
      options.gracePeriodSeconds = Number(grace);
    }
    const policy = query.get('propagationPolicy');
    if (policy) options.propagationPolicy = policy;
    const orphan = query.get('orphanDependents');
    if (orphan !== null) options.orphanDependents = isTrue(orphan);
  }
  const dryRun = query.getAll('dryRun').filter((each) => each !== '');
  if (dryRun.length > 0) options.dryRun = dryRun;
  return options;
}
