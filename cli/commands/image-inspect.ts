// sampan image inspect and history: what an image is made of.
import { callImages } from '../image-client.ts';
import { layoutOf } from '../layout.ts';
import { align } from '../table.ts';
import { type ImageFlags, sizeText } from './image.ts';

/** As the runtime tells it (an ImageDocument). */
interface Inspected {
  history: { createdBy: string; comment?: string; size: number }[];
}

async function inspected(image: string, flags: ImageFlags): Promise<Inspected> {
  const { document = '{}' } = await callImages(layoutOf(flags.dataDir).criSocket, 'Inspect', { image }, () => {});
  return JSON.parse(document) as Inspected;
}

export async function inspectCommand(images: string[], flags: ImageFlags): Promise<void> {
  const found: Inspected[] = [];
  for (const image of images) found.push(await inspected(image, flags));
  process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
}

const SHOWN = 80;

/** Newest first. */
export async function historyCommand(image: string, flags: ImageFlags & { trunc: boolean }): Promise<void> {
  const { history } = await inspected(image, flags);
  const rows = history.toReversed().map(({ createdBy, comment = '', size }) => {
    const isLong = flags.trunc && createdBy.length > SHOWN;
    return [isLong ? `${createdBy.slice(0, SHOWN - 1)}…` : createdBy, sizeText(size), comment];
  });
  for (const line of align([['CREATED BY', 'SIZE', 'COMMENT'], ...rows])) process.stdout.write(`${line}\n`);
}
