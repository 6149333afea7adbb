/**
 * Progress of long work: a bar on a terminal, elsewhere a line for each image and phase.
 */

import prettyBytes from 'pretty-bytes'
import type { Progress } from '../../admin/progress-stream.ts'
import { printable } from '../../base/printable.ts'
import { remark } from './terminal-output.ts'

/** Both may be called at any time; after `stop`, nothing is shown. */
export interface ProgressView {
  update(progress: Progress): void
  stop(): void
}

/** On standard error, so that results can be piped. */
export async function createProgressView(): Promise<ProgressView> {
  return process.stderr.isTTY ? bar() : lines()
}

async function bar(): Promise<ProgressView> {
  const { default: cliProgress } = await import('cli-progress')
  const format = '{bar} {percentage} % {name} {phase} {done} of {all}'
  const shown = new cliProgress.SingleBar(
    { format, barsize: 24, hideCursor: true, stopOnComplete: false, clearOnComplete: true },
    cliProgress.Presets.shades_classic,
  )
  shown.start(1, 0, { name: '', phase: '', done: '0 B', all: '?' })
  return {
    update: ({ name, phase, doneBytes, totalBytes }) => {
      shown.setTotal(Math.max(1, totalBytes))
      shown.update(doneBytes, { name: printable(name), phase, done: size(doneBytes), all: size(totalBytes) })
    },
    stop: () => shown.stop(),
  }
}

function lines(): ProgressView {
  let last = ''
  return {
    update: ({ name, phase, totalBytes }) => {
      const line = `${name}: ${phase}, ${size(totalBytes)} in all`
      if (line !== last) remark(line)
      last = line
    },
    stop: () => {},
  }
}

function size(bytes: number): string {
  return prettyBytes(bytes, { binary: true })
}
