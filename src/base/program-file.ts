/**
 * Files of the compiled program by their names below its top. Modules cannot say where others lie: in `dist/` many are
 * bundled into one file, in `build/` each is one of its own.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const topFile = 'daemon/worker/worker-main.js'

/**
 * @param name relative to the top, as `web/plan-main.js`
 * @throws Error when the program has no top above this file
 */
export function programFile(name: string): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, topFile))) {
    const above = dirname(directory)
    if (above === directory) throw new Error(`${topFile} is below no directory above the program`)
    directory = above
  }
  return join(directory, name)
}
