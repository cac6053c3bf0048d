// The pod template of a workload, and how it fits the workload's selector.
import { fieldErrors } from '../field-error.ts';
import { validateAnnotations } from '../metadata.ts';
import { selectorFromObject, validateLabelSelector, validateLabels } from '../selectors.ts';
import type { PodTemplateSpec } from '../types/core-v1.ts';
import type { LabelSelector } from '../types/meta.ts';
import type { Findings } from './checks.ts';
import { validatePodAnnotations, validateProfilesMatch } from './pod-annotations.ts';
import { validatePodSpec } from './pod-spec.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

export function* validatePodTemplate(template: PodTemplateSpec, field: string): Findings {
  const spec = template.spec ?? { containers: [] };
  const { labels, annotations } = template.metadata ?? {};
  // Upstream reports these without `metadata`.
  yield* validateLabels(labels, `${field}.labels`);
  yield* validateAnnotations(annotations, `${field}.annotations`);
  yield* validatePodAnnotations(annotations, spec, `${field}.annotations`);
  yield* validatePodSpec(spec, undefined, `${field}.spec`);
  yield* validateProfilesMatch(annotations, spec, `${field}.spec`);
  if ((spec.ephemeralContainers ?? []).length > 0) {
    yield forbidden(`${field}.spec.ephemeralContainers`, 'ephemeral containers not allowed in pod template');
  }
}

/**
 * The selector and the template of a workload that replaces its pods when they end. `kindName` is the one in upstream's
 * messages, which is not always the workload's own.
 */
export function* validateSelectedTemplate(
  spec: { selector?: LabelSelector; template?: PodTemplateSpec },
  field: string,
  kindName: { empty: string; deadline: string },
): Findings {
  const { selector, template } = spec;
  if (!selector) yield required(`${field}.selector`);
  else {
    const found = validateLabelSelector(selector, `${field}.selector`);
    yield* found;
    if (isEmptySelector(selector)) {
      yield invalid(`${field}.selector`, selector, `empty selector is invalid for ${kindName.empty}`);
    }
    if (found.length > 0) {
      yield invalid(`${field}.selector`, selector, 'invalid label selector');
      return;
    }
  }
  yield* replicatedTemplate(template, selector, `${field}.template`, kindName.deadline);
}

export const isEmptySelector = ({ matchLabels, matchExpressions }: LabelSelector): boolean =>
  Object.keys(matchLabels ?? {}).length + (matchExpressions ?? []).length === 0;

function* replicatedTemplate(
  template: PodTemplateSpec | undefined,
  selector: LabelSelector | undefined,
  field: string,
  kindName: string,
): Findings {
  if (!template) {
    yield required(field);
    return;
  }
  // No selector selects nothing, not even this template.
  const labels = template.metadata?.labels;
  if (!selector || !selectorFromObject(selector).matches(labels ?? {})) {
    yield invalid(`${field}.metadata.labels`, labels, '`selector` does not match template `labels`');
  }
  yield* validatePodTemplate(template, field);
  if (template.spec?.restartPolicy !== 'Always') {
    yield notSupported(`${field}.spec.restartPolicy`, template.spec?.restartPolicy ?? '', ['Always']);
  }
  if (template.spec?.activeDeadlineSeconds !== undefined) {
    yield forbidden(`${field}.spec.activeDeadlineSeconds`, `activeDeadlineSeconds in ${kindName} is not Supported`);
  }
}
