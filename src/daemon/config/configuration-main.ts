/**
 * Reads a configuration file in a process of its own: its path is the argument, and the document goes to standard
 * output as JSON, or why there is none.
 */
import '../../base/no-inspector.ts'
import { isCacheError, messageOf } from '../../base/errors.ts'
import { readConfigurationFile } from './configuration-file.ts'
import type { ReadConfiguration } from './settings.ts'

const read = await readConfigurationFile(process.argv[2]!).then(
  ({ document }): ReadConfiguration => ({ document }),
  (error): ReadConfiguration => {
    if (!isCacheError(error)) throw error
    return { code: error.code, message: messageOf(error) }
  },
)
process.stdout.write(JSON.stringify(read))
