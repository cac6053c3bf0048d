// When an image is pulled, read from its reference.

/** Always for a missing tag and for `latest`; a digest alone, or another tag, is pulled once. */
export function pullPolicyFor(image: string): 'Always' | 'IfNotPresent' {
  if (image === '') return 'IfNotPresent';
  const [name = '', digest] = image.split('@');
  const tag = /:([\w][\w.-]{0,127})$/.exec(name)?.[1];
  if (tag === 'latest') return 'Always';
  return tag === undefined && digest === undefined ? 'Always' : 'IfNotPresent';
}
