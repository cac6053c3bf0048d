// core/v1 LimitRange: bounds and defaults for what pods and claims of a namespace ask for.
import type { LimitRange } from '../types/core-v1.ts';
import { validateLimitRange } from '../validation/quota.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const limitRange = defineKind<LimitRange>({
  group: '',
  version: 'v1',
  kind: 'LimitRange',
  resource: 'limitranges',
  shortNames: ['limits'],
  namespaced: true,
  allowCreateOnUpdate: true,
  schema: 'core.v1.LimitRange',
  columns: [NAME_COLUMN, 'Created At:date'],
  cells: (object) => [nameOf(object), object.metadata.creationTimestamp ?? ''],
  /** A container's default limit is its maximum, its default request the default limit, else the minimum. */
  setDefaults({ spec }) {
    for (const item of spec?.limits ?? []) {
      if (item.type !== 'Container') continue;
      item.default = { ...item.max, ...item.default };
      item.defaultRequest = { ...item.min, ...item.default, ...item.defaultRequest };
      for (const name of ['default', 'defaultRequest'] as const) {
        if (Object.keys(item[name] ?? {}).length === 0) delete item[name];
      }
    }
  },
  validate: (object) => [...validateLimitRange(object)],
});
