// Runs the install scripts of the package in the current directory, as npm does after unpacking it.
// It is part of every script node's key. Arguments: what to say about the network when a script
// fails, and "optional" if the package may be missing then.
'use strict'
const fs = require('fs')
const path = require('path')
const { spawnSync } = require('child_process')

const [hint, optional] = process.argv.slice(2)
const dir = process.cwd()
const pkg = JSON.parse(fs.readFileSync('package.json', 'utf8').replace(/^\uFEFF/, ''))
const scripts = Object.assign({}, pkg.scripts)
if (!scripts.install && !scripts.preinstall && pkg.gypfile !== false && fs.existsSync('binding.gyp')) {
  scripts.install = 'node-gyp rebuild'
}

// Commands of the packages around come first, then npm's node-gyp, then the system's.
const dirs = []
for (let at = dir; ; at = path.dirname(at)) {
  if (path.basename(at) !== 'node_modules') dirs.push(path.join(at, 'node_modules', '.bin'))
  if (at === path.dirname(at)) break
}
const prefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)))
const gyp = ['lib/node_modules/npm/node_modules/@npmcli/run-script/lib/node-gyp-bin', 'lib/node_modules/npm/bin/node-gyp-bin']
  .map(p => path.join(prefix, p)).filter(p => fs.existsSync(p))
const env = Object.assign({}, process.env, {
  PATH: dirs.concat(gyp, process.env.PATH || []).join(':'),
  NODE: process.execPath,
  npm_node_execpath: process.execPath,
  npm_execpath: path.join(prefix, 'lib/node_modules/npm/bin/npm-cli.js'),
  npm_command: 'ci',
  npm_package_json: path.join(dir, 'package.json'),
  npm_package_name: pkg.name || '',
  npm_package_version: pkg.version || '',
})
for (const [k, v] of Object.entries(pkg.config || {})) env['npm_package_config_' + k] = String(v)
for (const [k, v] of Object.entries(pkg.engines || {})) env['npm_package_engines_' + k] = String(v)
const gypJS = path.join(prefix, 'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js')
if (fs.existsSync(gypJS)) env.npm_config_node_gyp = gypJS
// Headers that lie beside the runtime save node-gyp from downloading them.
if (fs.existsSync(path.join(prefix, 'include/node/node_version.h'))) env.npm_config_nodedir = prefix

for (const event of ['preinstall', 'install', 'postinstall']) {
  const script = scripts[event]
  if (!script) continue
  console.log(`> ${pkg.name}@${pkg.version} ${event}\n> ${script}`)
  const r = spawnSync('sh', ['-c', script], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: Object.assign({}, env, { npm_lifecycle_event: event, npm_lifecycle_script: script }),
  })
  if (r.status === 0) continue
  const why = r.error ? r.error.message : r.signal ? `signal ${r.signal}` : `status ${r.status}`
  console.error(`${pkg.name}@${pkg.version}: the ${event} script failed with ${why}.`)
  if (hint) console.error(hint)
  if (optional === 'optional') {
    console.error('The package is optional: it is left out.')
    process.chdir('/')
    fs.rmSync(dir, { recursive: true, force: true })
    break
  }
  process.exit(1)
}
