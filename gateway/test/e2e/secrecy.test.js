// SPDX-License-Identifier: PostgreSQL
// Passwords and tokens stay out of PostgreSQL's log, however much that is told to write.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { binary, refused, unique, until, World } from './harness.js';

const run = promisify(execFile);

// All that there is: statements, durations, and plans of nested ones.
const talkative = `log_statement = all
log_min_duration_statement = 0
log_min_error_statement = debug5
log_error_verbosity = verbose
session_preload_libraries = auto_explain
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
auto_explain.log_verbose = on
log_parameter_max_length_on_error = -1`;

const serverLog = async world => readFile(join((await world.cluster('path')).trim(), 'log'), 'utf8');

// Everything that carries a secret, some of it going wrong. Which texts must not be found.
const useSecrets = async world => {
	const secret = what => unique(`secret-${what}-`);
	const [first, second, wrong, forged] = ['first', 'second', 'wrong', 'forged'].map(secret);
	const user_name = unique('quiet');
	const socket = await world.connect();
	await socket.call('register_user', { user_name, password: first });
	await refused(socket.call('register_user', { user_name, password: first }));
	await refused(socket.call('log_in', { user_name, password: wrong }));
	await refused(socket.call('authenticate', { token: forged }));
	const { token } = await socket.call('log_in', { user_name, password: first });
	await refused(socket.call('change_password', { old_password: wrong, new_password: second }));
	await socket.call('change_password', { old_password: first, new_password: second });
	const bearer = await world.connect({ token });
	const visit = await fetch(`${world.http}/rpc`, {
		method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
		body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'get_profile', params: {} })
	});
	assert.equal(visit.status, 200);
	await bearer.close();
	await socket.close();
	return [first, second, wrong, forged, token];
};

const isSilent = async (world, secrets) => {
	const log = await until(async () => {
		const text = await serverLog(world);
		return /chat\.change_password/.test(text) && text;
	}, 'the log');
	for (const sign of [/chat\.log_in/, /chat\.open_session/, /duration:/, /Query Text:/, /bcrypt|crypt\(/i])
		assert.match(log, sign, 'it tells a lot');
	for (const secret of secrets)
		assert.ok(!log.includes(secret), `${secret}: ${log.split('\n').find(line => line.includes(secret))}`);
};

describe('a talkative server', () => {
	for (const prepare of ['on', 'off'])
		test(`logs no password and no token, with prepare = ${prepare}`, async () => {
			const world = await World.start({ knobs: { workers: 1, prepare }, env: { CHAT_OPTIONS: talkative } });
			await isSilent(world, await useSecrets(world));
			assert.doesNotMatch(world.gateway.log, /parameters_logged/);
			await world.stop();
		});
});

describe('a gateway that may not', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { workers: 2 } });
		await world.gateway.stop();
		await world.sql('REVOKE SET ON PARAMETER log_parameter_max_length FROM chat_gateway');
		await world.startGateway();
	});
	after(() => world.stop());

	test('says so once, by name, and what to do', async () => {
		const warning = await until(() => /event=parameters_logged message="(.*)"/.exec(world.gateway.log)?.[1], 'a warning');
		assert.match(warning, /log_parameter_max_length is -1; as a superuser: ALTER ROLE gateway SET log_parameter_max_length = 0;/);
		await world.gateway.stop();
		await world.sql('ALTER ROLE gateway SET log_parameter_max_length = 0');
		await world.startGateway();
		const socket = await world.connect();
		await refused(socket.call('log_in', { user_name: 'nobody', password: 'nothing' }));
		await socket.close();
		assert.doesNotMatch(world.gateway.log, /parameters_logged/);
	});

	test('--check names what a pooler needs', async () => {
		const { stdout } = await run(binary, ['--prepare=off', '--check']);
		assert.match(stdout, /ALTER ROLE \.\.\. SET log_parameter_max_length = 0;/);
		assert.equal((await run(binary, ['--check'])).stdout, '');
	});
});
