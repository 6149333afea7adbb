/**
 * The version of this package, from its package.json.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** `1.2.3`. Compiled files lie at different depths below package.json. */
export function readVersion(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, 'package.json')) && directory !== dirname(directory))
    directory = dirname(directory)
  const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as { readonly version: string }
  return manifest.version
}
