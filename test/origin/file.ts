/**
 * A directory as an origin.
 */
import { pathToFileURL } from 'node:url'
import { FileOrigin } from '../../src/origin/file.ts'
import { originContract } from '../contract/origin.ts'
import { noHoles } from '../fixtures/extents.ts'

originContract('a directory', async directory => new FileOrigin(pathToFileURL(directory).href, noHoles))
