/**
 * Entry point of the process that copies an index which may be damaged, so that reading it ends this process and no
 * daemon.
 *
 * Arguments: the directory of the index, the place of the copy, and the databases (all without). Exit code 0: every
 * value that can be reached was read, and those with a matching checksum are in the copy, which is not synced. See
 * salvage.ts.
 */
import '../../base/no-inspector.ts'
import { type Database, open, type RootDatabase } from 'lmdb'
import { databaseNames } from '../format/value-checksum.ts'
import { copyValues } from './copy-values.ts'

type Binary = RootDatabase<Buffer, Buffer>

const [from, to, ...names] = process.argv.slice(2)
if (from === undefined || to === undefined) throw new Error('which directories?')
const binary = { encoding: 'binary', keyEncoding: 'binary' } as const
const source: Binary = open({ path: from, maxDbs: 16, noSubdir: false, readOnly: true, ...binary })
// As lmdb-environment.ts opens it: some of this is written into the file.
const options = { path: to, maxDbs: 16, noSync: true, noSubdir: false, permissionsMode: 0o600, ...binary }
const target: Binary = open(options)
for (const name of names.length > 0 ? names : databaseNames) copy(name)
await target.flushed
await target.close()
await source.close()

function copy(name: string): void {
  const targetDatabase = target.openDB<Buffer, Buffer>({ name, ...binary })
  // Of an index that was cut off while it was made, a database may be missing.
  const open = () => source.openDB<Buffer, Buffer>({ name, ...binary }) as Database<Buffer, Buffer> | undefined
  const getRange = () => open()?.getRange({}) ?? []
  copyValues({ getRange, resetReadTxn: () => source.resetReadTxn() }, values => {
    target.transactionSync(() => {
      for (const [key, value] of values) targetDatabase.putSync(key, value)
    })
  })
}
