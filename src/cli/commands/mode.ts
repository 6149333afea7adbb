/**
 * `parentfs mode`: says the mode of a mount, an origin or an image, and shows the modes in force.
 */

import { type ModeRequest, requestModes } from '../../admin/admin-client.ts'
import type { ModeEntry } from '../../cache/operations/mode-operations.ts'
import { newTable, trimmed } from '../output/tables.ts'
import { findImage, findMount, noDaemon } from './target.ts'

export interface ModeArguments {
  /** Undefined: show them; null: take the operator's word back. */
  readonly mode: ModeRequest['mode'] | undefined
  /** Its name or path; null: an origin, or the mount. */
  readonly image: string | null
  readonly origin: string | null
  /** Of the mount; null: as the image says, or the only one. */
  readonly path: string | null
  readonly json: boolean
}

/**
 * @returns the exit code
 * @throws CacheError not-found, invalid-argument, origin-*, index-failed, access-denied, closed
 */
export async function modeCommand({ mode, image, origin, path, json }: ModeArguments): Promise<number> {
  const saying = 'say which one with -m DIR'
  const found = image === null ? { ...(await findMount(path, saying)), name: null } : await findImage(image, path)
  const request = mode === undefined ? null : { mode, origin, image: found.name }
  const modes = await requestModes(found.socket, request)
  if (!modes) throw await noDaemon(found.mountpoint)
  console.log(json ? JSON.stringify(modes, null, 2) : tableOfModes(modes))
  return 0
}

/** One line a place. */
export function tableOfModes(modes: readonly ModeEntry[]): string {
  const table = newTable(['SCOPE', 'NAME', 'MODE', 'SAID BY'])
  for (const { scope, name, mode, by } of modes) table.push([scope, name ?? '-', mode, by])
  return trimmed(table.toString())
}
