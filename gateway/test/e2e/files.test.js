// SPDX-License-Identifier: PostgreSQL
// Files over HTTP: in and out, in parts, resumed, large, slow, and whose they are.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Raw } from './raw.js';
import { sleep, until, within, World } from './harness.js';

const chunk = 262144;
const png = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), randomBytes(1000)]);

let world;
let alice;
let bob;

const hash = bytes => createHash('sha256').update(bytes).digest('hex');
const bearer = user => ({ Authorization: `Bearer ${user.token}` });
const upload = async (user, query, body, headers = {}) => {
	const response = await fetch(`${world.http}/files?${new URLSearchParams(query)}`, { method: 'POST', headers: { ...bearer(user), ...headers }, body });
	return { status: response.status, headers: response.headers, body: await response.json() };
};
const download = (user, id, headers = {}, more = {}) => fetch(`${world.http}/files/${id}`, { headers: { ...user ? bearer(user) : {}, ...headers }, redirect: 'manual', ...more });
const rpc = async (user, method, params) => {
	const response = await fetch(`${world.http}/rpc`, {
		method: 'POST', headers: { ...bearer(user), 'Content-Type': 'application/json' }, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
	});
	const { result, error } = await response.json();
	assert.equal(error, undefined, JSON.stringify(error));
	return result;
};

before(async () => {
	world = await World.start({ knobs: { slow_timeout: '2s', ticket_lifetime: '5s', workers: 2 } });
	await world.sql(`SELECT chat.set_setting('file_max_bytes', '2147483648'), chat.set_setting('file_quota', '8589934592')`);
	alice = await world.user('alice');
	bob = await world.user('bob');
});
after(() => world.stop());

describe('in and out', () => {
	test('a file comes back as it was', async () => {
		for (const size of [0, 1, 1000, chunk - 1, chunk, chunk + 1, 3 * chunk + 17])
		{
			const bytes = randomBytes(size);
			const { status, headers, body } = await upload(alice, { name: `of ${size}.bin` }, bytes);
			assert.equal(status, 201, JSON.stringify(body));
			assert.equal(headers.get('location'), `/files/${body.id}`);
			assert.deepEqual([body.name, body.mime_type, body.size, body.sha256, body.owner_id],
				[`of ${size}.bin`, 'application/octet-stream', String(size), hash(bytes), alice.id]);
			const back = await download(alice, body.id);
			assert.equal(back.status, 200);
			assert.equal(back.headers.get('content-length'), String(size));
			assert.equal(back.headers.get('etag'), `"${body.sha256}"`);
			assert.ok(Buffer.from(await back.arrayBuffer()).equals(bytes), `${size} bytes`);
		}
	});

	test('only for whom it is', async () => {
		const { body: file } = await upload(alice, { name: 'x' }, 'mine');
		assert.equal((await download(bob, file.id)).status, 404);
		assert.equal((await download(undefined, file.id)).status, 401);
		assert.equal((await download({ token: 'nonsense' }, file.id)).status, 401);
		await rpc(alice, 'share_file', { file_id: file.id, user_id: bob.id });
		assert.equal((await download(bob, file.id)).status, 200);
		await rpc(alice, 'delete_file', { file_id: file.id });
		assert.equal((await download(alice, file.id)).status, 404);
		for (const path of ['1', '0', '9223372036854775807', '9223372036854775808', '-1', 'x', '1/2', '', '%31'])
			assert.equal((await download(alice, path)).status, 404, path);
	});

	test('what is shown in place, and what is to be saved', async () => {
		const { body: picture } = await upload(alice, { name: 'ä "b".png', mime_type: 'image/png' }, png);
		const shown = await download(alice, picture.id);
		assert.equal(shown.headers.get('content-type'), 'image/png');
		assert.equal(shown.headers.get('content-disposition'), "inline; filename=\"_ _b_.png\"; filename*=UTF-8''%C3%A4%20%22b%22.png");
		for (const [name, mime_type, content] of [['a.html', 'text/html', '<script>alert(1)</script>'], ['a.svg', 'image/svg+xml', '<svg/>'], ['a.bin', 'application/x-thing', 'x']])
		{
			const { status, body } = await upload(alice, { name, mime_type }, content);
			assert.ok(status === 201 || mime_type === 'image/svg+xml', JSON.stringify(body));
			if (status !== 201)
				continue;
			const saved = await download(alice, body.id);
			assert.match(saved.headers.get('content-disposition'), /^attachment; /);
			assert.match(saved.headers.get('content-security-policy'), /sandbox/);
			assert.equal(saved.headers.get('x-content-type-options'), 'nosniff');
			assert.match(saved.headers.get('cache-control'), /^private/);
		}
	});

	test('a link leads elsewhere', async () => {
		const link = await rpc(alice, 'add_file_link', { name: 'doc', url: 'https://example.org/doc?a=b' });
		const answer = await download(alice, link.id);
		assert.equal(answer.status, 302);
		assert.equal(answer.headers.get('location'), 'https://example.org/doc?a=b');
		assert.equal((await download(bob, link.id)).status, 404);
	});

	test('but no page that shows a link as a picture leads its reader to another server', async () => {
		const link = await rpc(alice, 'add_file_link', { name: 'me.png', mime_type: 'image/png', url: 'https://example.org/me.png' });
		for (const [destination, status] of [['image', 409], ['video', 409], ['iframe', 409], ['empty', 409], ['document', 302]])
		{
			const raw = new Raw(world.port).write(`GET /files/${link.id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${alice.token}\r\nSec-Fetch-Dest: ${destination}\r\n\r\n`);
			assert.equal(await raw.status(), status, destination);
			assert.equal(/^Location: /m.test(raw.text), status === 302);
			assert.equal(/"file_is_link"/.test(raw.text), status === 409);
			raw.close();
		}
		const response = await fetch(`${world.http}/rpc`, {
			method: 'POST', headers: { ...bearer(alice), 'Content-Type': 'application/json' },
			body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'edit_profile', params: { avatar_file_id: link.id } })
		});
		assert.equal((await response.json()).error.data.reason, 'file_is_link', 'nor is it an avatar');
	});

	test('HEAD says all but the bytes', async () => {
		const { body: file } = await upload(alice, { name: 'x' }, 'content');
		const answer = await download(alice, file.id, {}, { method: 'HEAD' });
		assert.equal(answer.status, 200);
		assert.equal(answer.headers.get('content-length'), '7');
		assert.equal(answer.headers.get('accept-ranges'), 'bytes');
		assert.equal(await answer.text(), '');
	});
});

describe('parts', () => {
	const bytes = randomBytes(2 * chunk + 1000);
	let file;
	before(async () => {
		({ body: file } = await upload(alice, { name: 'parts' }, bytes));
	});

	test('ranges', async () => {
		const { length } = bytes;
		for (const [range, first, last] of [['bytes=0-0', 0, 0], ['bytes=10-19', 10, 19], [`bytes=${chunk - 1}-${chunk}`, chunk - 1, chunk], [`bytes=${chunk}-`, chunk, length - 1],
			['bytes=-5', length - 5, length - 1], [`bytes=-${2 * length}`, 0, length - 1], [`bytes=5-${2 * length}`, 5, length - 1], [`bytes=${length - 1}-`, length - 1, length - 1]])
		{
			const answer = await download(alice, file.id, { Range: range });
			assert.equal(answer.status, 206, range);
			assert.equal(answer.headers.get('content-range'), `bytes ${first}-${last}/${length}`);
			assert.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes.subarray(first, last + 1)), range);
		}
		for (const range of [`bytes=${length}-`, 'bytes=-0', 'bytes=99999999999999999999-'])
		{
			const answer = await download(alice, file.id, { Range: range });
			assert.equal(answer.status, 416, range);
			assert.equal(answer.headers.get('content-range'), `bytes */${length}`);
			assert.deepEqual([answer.headers.get('content-type'), answer.headers.get('content-disposition')], ['application/json', null]);
			const { error } = await answer.json();
			assert.deepEqual([error.code, error.data.reason], [416, 'range_not_satisfiable']);
		}
		for (const range of ['bytes=0-1,5-6', 'bytes=2-1', 'lines=0-1', 'bytes=x', 'bytes='])
		{
			const answer = await download(alice, file.id, { Range: range });
			assert.equal(answer.status, 200, range);
			assert.equal((await answer.arrayBuffer()).byteLength, length);
		}
	});

	test('conditions', async () => {
		const tag = `"${file.sha256}"`;
		const status = async headers => {
			const answer = await download(alice, file.id, headers);
			await answer.arrayBuffer();
			return answer.status;
		};
		assert.equal(await status({ 'If-None-Match': tag }), 304);
		assert.equal(await status({ 'If-None-Match': `"x", W/${tag}` }), 304);
		assert.equal(await status({ 'If-None-Match': '*' }), 304);
		assert.equal(await status({ 'If-None-Match': '"x"' }), 200);
		assert.equal(await status({ 'If-Match': '"x"' }), 412);
		assert.equal(await status({ 'If-Match': tag }), 200);
		assert.equal(await status({ Range: 'bytes=0-1', 'If-Range': tag }), 206);
		assert.equal(await status({ Range: 'bytes=0-1', 'If-Range': '"x"' }), 200);
		assert.equal(await status({ Range: 'bytes=0-1', 'If-Range': `W/${tag}` }), 200);
		assert.equal(await status({ Range: 'bytes=0-1', 'If-Range': 'Sat, 21 Nov 2026 00:00:00 GMT' }), 200);
	});
});

describe('uploads', () => {
	test('in pieces, from where it stands', async () => {
		const bytes = randomBytes(2 * chunk + 5000);
		const size = bytes.length;
		const cuts = [0, 100, chunk + 7, size];
		const first = await upload(alice, { name: 'pieces', size }, bytes.subarray(0, cuts[1]));
		assert.equal(first.status, 202);
		assert.deepEqual([first.body.received, first.body.size], ['100', String(size)]);
		const upload_id = first.body.id;
		const gap = await upload(alice, { upload_id, byte_offset: 200 }, bytes.subarray(200, 300));
		assert.deepEqual([gap.status, gap.body.error.data.reason], [409, 'wrong_offset']);
		const overlap = await upload(alice, { upload_id, byte_offset: 50 }, bytes.subarray(50, cuts[2]));
		assert.deepEqual([overlap.status, overlap.body.received], [202, String(cuts[2])]);
		const stands = await upload(alice, { upload_id }, '');
		assert.deepEqual([stands.status, stands.body.received], [202, String(cuts[2])]);
		const much = await upload(alice, { upload_id, byte_offset: cuts[2] }, Buffer.concat([bytes.subarray(cuts[2]), Buffer.from('x')]));
		assert.deepEqual([much.status, much.body.error.data.reason], [413, 'too_large']);
		assert.equal((await upload(bob, { upload_id, byte_offset: cuts[2] }, 'x')).status, 404);
		const last = await upload(alice, { upload_id, byte_offset: cuts[2] }, bytes.subarray(cuts[2]));
		assert.deepEqual([last.status, last.body.sha256, last.body.id], [201, hash(bytes), upload_id]);
		assert.equal((await upload(alice, { upload_id }, '')).body.id, upload_id);
	});

	test('a piece sent again after the end, its answer lost, is answered with the file', async () => {
		const bytes = randomBytes(chunk + 1000);
		const first = await upload(alice, { name: 'again', size: bytes.length }, bytes.subarray(0, 500));
		const upload_id = first.body.id;
		const last = () => upload(alice, { upload_id, byte_offset: 500 }, bytes.subarray(500));
		const both = await Promise.all([last(), last()]);
		assert.deepEqual(both.map(({ status }) => status), [201, 201], JSON.stringify(both));
		const [{ body: file }] = both;
		for (const [byte_offset, end] of [[500, bytes.length], [0, 500], [0, bytes.length], [chunk, bytes.length], [bytes.length - 1, bytes.length], [7, 8], [0, 0]])
		{
			const { status, headers, body } = await upload(alice, { upload_id, byte_offset }, bytes.subarray(byte_offset, end));
			assert.deepEqual([status, headers.get('location'), body], [201, `/files/${upload_id}`, file], `${byte_offset} to ${end}`);
		}
		assert.equal(file.sha256, hash(bytes));
		const more = await upload(alice, { upload_id, byte_offset: 500 }, bytes);
		assert.deepEqual([more.status, more.body.error.data.reason], [413, 'too_large']);
		assert.equal((await upload(bob, { upload_id, byte_offset: 500 }, bytes.subarray(500))).status, 404);
		await rpc(alice, 'delete_file', { file_id: upload_id });
		const gone = await upload(alice, { upload_id, byte_offset: 500 }, bytes.subarray(500));
		assert.deepEqual([gone.status, gone.body.error.data.reason], [404, 'no_such_upload']);
	});

	test('a key whose upload has expired tells so', async () => {
		const { body: { id } } = await upload(alice, { name: 'expired', size: 10, client_key: 'expired' }, 'x');
		await world.sql(`DELETE FROM chat.uploads WHERE id = ${id}`);
		const { status, body } = await upload(alice, { name: 'expired', size: 10, client_key: 'expired' }, 'x');
		assert.deepEqual([status, body.error.data.reason], [404, 'no_such_upload']);
	});

	test('a broken one goes on at what was received', async () => {
		const bytes = randomBytes(3 * chunk);
		const client_key = 'broken';
		const raw = new Raw(world.port);
		raw.socket.write(`POST /files?name=broken&client_key=${client_key} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${alice.token}\r\nContent-Length: ${bytes.length}\r\n\r\n`);
		raw.socket.write(bytes.subarray(0, chunk + 1000));
		const received = () => rpc(alice, 'begin_upload', { name: 'broken', mime_type: null, size: String(bytes.length), client_key }).then(row => Number(row.received));
		await until(async () => await received() >= chunk, 'the first chunk is in');
		raw.close();
		await until(async () => await received() === chunk + 1000, 'the rest is in, too');
		const at = await received();
		const { id } = await rpc(alice, 'begin_upload', { name: 'broken', mime_type: null, size: String(bytes.length), client_key });
		const { status, body } = await upload(alice, { upload_id: id, byte_offset: at }, bytes.subarray(at));
		assert.deepEqual([status, body.sha256], [201, hash(bytes)]);
	});

	test('what is known already need not be sent', async () => {
		const bytes = randomBytes(500_000);
		const { body: first } = await upload(alice, { name: 'one' }, bytes);
		const { status, body } = await upload(alice, { name: 'two', size: bytes.length, sha256: first.sha256 }, '');
		assert.deepEqual([status, body.sha256], [201, first.sha256]);
		assert.notEqual(body.id, first.id);
		assert.equal((await upload(bob, { name: 'two', size: bytes.length, sha256: first.sha256 }, '')).status, 202);
	});

	test('refusals', async () => {
		for (const [query, body, status, reason] of [[{ name: '' }, 'x', 400, 'invalid_argument'], [{ name: 'a/b' }, 'x', 400, 'invalid_argument'],
			[{ name: 'a', mime_type: 'nonsense' }, 'x', 400, 'invalid_mime_type'], [{ name: 'a.png', mime_type: 'image/png' }, 'no picture', 400, 'file_type_mismatch'],
			[{ name: 'a', sha256: '0'.repeat(64) }, 'x', 400, 'file_hash_mismatch'], [{ name: 'a', size: '2147483649' }, 'x', 413, 'too_large'],
			[{ name: 'a', sha256: 'x' }, 'x', 400, 'invalid_argument'], [{ upload_id: '1' }, 'x', 404, 'no_such_upload'], [{ name: 'x'.repeat(5000) }, 'x', 400, 'invalid_argument']])
		{
			const answer = await upload(alice, query, body);
			assert.deepEqual([answer.status, answer.body.error?.data.reason], [status, reason], JSON.stringify(query));
		}
		assert.equal((await upload({ token: 'x' }, { name: 'a' }, 'x')).status, 401);
		assert.equal((await fetch(`${world.http}/files?name=a`, { method: 'POST', body: 'x' })).status, 401);
	});

	test('a parameter that is unknown, reserved, there twice, missing or no good is named', async () => {
		const { body: file } = await upload(alice, { name: 'x' }, 'x');
		const { ticket } = await rpc(alice, 'create_ticket', { file_id: file.id });
		const named = async (method, path, headers) => {
			const response = await fetch(world.http + path, { method, headers, ...method === 'POST' ? { body: 'x' } : {} });
			const { error } = await response.json();
			assert.deepEqual([response.status, error.code, error.message], [400, 400, 'invalid params'], path);
			assert.ok(error.data.hint && !error.data.sqlstate, path);
			return [error.data.reason, error.data.parameter];
		};
		for (const [query, parameter, reason = 'invalid_params'] of [['name=a&foo=1', 'foo'], ['name=a&clientkey=k', 'clientkey'], ['name=a&Name=b', 'Name'], ['name=a&foo', 'foo'],
			['name=a&=1', ''], ['name=a&%6eame=b', '%6eame'], [`name=a&${'x'.repeat(100)}=1`, 'x'.repeat(64)], ['name=a&actor_id=1', 'actor_id', 'reserved_parameter'],
			['name=a&actor_session_id=1', 'actor_session_id', 'reserved_parameter'], ['name=a&actor_address=::1', 'actor_address', 'reserved_parameter'],
			['name=a&name=b', 'name'], ['name=a&size=1&size=1', 'size'], ['name=a&client_key=k&client_key=', 'client_key'], ['', 'name'], ['size=1', 'name'],
			['name=%zz', 'name'], ['name=a%00b', 'name'], ['name=%ff', 'name'], ['name=%c3', 'name'], ['name=%ed%a0%80', 'name'], ['name=a&mime_type=%fe', 'mime_type'],
			['name=a&client_key=%00', 'client_key'], ['name=a&sha256=%ff', 'sha256'], ['name=a&size=-1', 'size'], ['name=a&size=', 'size'], ['name=a&size', 'size'],
			['name=a&size=1e3', 'size'], ['name=a&size=99999999999999999999', 'size'], ['upload_id=x', 'upload_id'], ['upload_id=1&byte_offset=-1', 'byte_offset'],
			['upload_id=1&byte_offset=9223372036854775807', 'byte_offset'], ['name=a&byte_offset=5', 'byte_offset']])
			assert.deepEqual(await named('POST', `/files?${query}`, bearer(alice)), [reason, parameter], query);
		for (const [query, parameter, reason = 'invalid_params'] of [['foo=1', 'foo'], [`ticket=${ticket}&v=2`, 'v'], [`ticket=${ticket}&ticket=${ticket}`, 'ticket'],
			['ticket=%ff', 'ticket'], [`ticket=${ticket}&actor_id=1`, 'actor_id', 'reserved_parameter']])
			for (const headers of [{}, bearer(alice)])
				assert.deepEqual(await named('GET', `/files/${file.id}?${query}`, headers), [reason, parameter], query);
		for (const query of ['', '?', '?&', `?ticket=${ticket}&`])
			assert.equal((await download(alice, file.id + query)).status, 200, query);
		for (const query of ['name=a&', '&&name=a+b%20c', 'name=%C3%A4&size=1&byte_offset=0&mime_type=text/plain'])
			assert.equal((await fetch(`${world.http}/files?${query}`, { method: 'POST', headers: bearer(alice), body: 'x' })).status, 201, query);
	});

	test('a body that is refused is not asked for', async () => {
		const raw = new Raw(world.port).write(`POST /files?name=a%2Fb HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${alice.token}\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n`);
		assert.equal(await raw.status(), 400);
		raw.close();
		const good = new Raw(world.port).write(`POST /files?name=ab HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${alice.token}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n`);
		assert.equal(await good.status(), 100);
		good.write('abc');
		assert.equal(await good.status(2), 201);
		good.close();
	});
});

describe('time', () => {
	test('who sends nothing more is cut off, who sends slowly is not', async () => {
		const head = `POST /files?name=slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${alice.token}\r\nContent-Length: 10000\r\n\r\n`;
		const mute = new Raw(world.port).write(`${head}abc`);
		const slow = new Raw(world.port).write(head);
		for (const letter of '1234567890')
		{
			slow.write(letter.repeat(1000));
			await new Promise(done => setTimeout(done, 400));
		}
		assert.equal(await slow.status(), 201);
		await within(mute.end, 'the mute one ends', 5000);
		assert.deepEqual(mute.statuses, [408]);
		mute.close();
		slow.close();
	});

	test('who takes nothing more is cut off', async () => {
		const { body: file } = await upload(alice, { name: 'long' }, randomBytes(16 << 20));
		const raw = new Raw(world.port);
		raw.socket.pause();
		raw.write(`GET /files/${file.id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${alice.token}\r\n\r\n`);
		await new Promise(done => setTimeout(done, 4000));
		raw.socket.resume();
		await within(raw.end, 'end', 5000);
		assert.ok(raw.text.length < 16 << 20, `${raw.text.length} bytes came`);
		raw.close();
	});

	test('a revoked login ends a long download', async () => {
		const carol = await world.user('carol');
		const { body: file } = await upload(carol, { name: 'long' }, randomBytes(64 << 20));
		const raw = new Raw(world.port);
		raw.socket.on('data', () => raw.socket.pause());
		raw.write(`GET /files/${file.id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${carol.token}\r\n\r\n`);
		await raw.status();
		await rpc(carol, 'log_out');
		// Reads a little now and then: never mute, far from the end when the login is looked at.
		const sips = setInterval(() => raw.socket.resume(), 100);
		await within(raw.end, 'end', 30000).finally(() => clearInterval(sips));
		assert.ok(raw.text.length < 64 << 20);
		raw.close();
	});
});

describe('tickets', () => {
	const open = (file_id, ticket, headers = {}) => fetch(`${world.http}/files/${file_id}?ticket=${ticket}`, { headers: { Connection: 'close', ...headers } });

	test('one opens one file, without a token, as often as it is shown, on every worker', async () => {
		const { body: file } = await upload(alice, { name: 'pic.png', mime_type: 'image/png' }, png);
		const { body: other } = await upload(alice, { name: 'other' }, 'other');
		const { ticket, url, expires_at } = await rpc(alice, 'create_ticket', { file_id: file.id });
		assert.equal(url, `/files/${file.id}?ticket=${ticket}`);
		const left = new Date(expires_at) - Date.now();
		assert.ok(left > 3000 && left < 5000, `${left} ms`);
		for (let n = 0; n < 20; n++)
			assert.equal((await fetch(world.http + url, { headers: { Connection: 'close' } })).status, 200);
		assert.equal((await open(file.id, ticket, { Range: 'bytes=0-7' })).status, 206);
		assert.equal((await open(other.id, ticket)).status, 401);
		for (const bad of ['', 'x', ticket.slice(0, -1), `${ticket.slice(0, -1)}${ticket.endsWith('0') ? 1 : 0}`, ticket.toUpperCase()])
			assert.equal((await open(file.id, bad)).status, 401, bad);
		await until(async () => (await open(file.id, ticket)).status === 401, 'it has expired', 8000);
	});

	test('one is as good as its login, and lets nobody see more', async () => {
		const dave = await world.user('dave');
		const { body: file } = await upload(dave, { name: 'x' }, 'content');
		const second = { ...dave, ...await world.logIn(dave) };
		const own = await rpc(dave, 'create_ticket', { file_id: file.id });
		const elsewhere = await rpc(second, 'create_ticket', { file_id: file.id });
		const foreign = await rpc(bob, 'create_ticket', { file_id: file.id });
		assert.equal((await open(file.id, foreign.ticket)).status, 404);
		assert.equal((await open(file.id, elsewhere.ticket)).status, 200);
		await rpc(second, 'log_out');
		assert.equal((await open(file.id, elsewhere.ticket)).status, 401);
		assert.equal((await open(file.id, own.ticket)).status, 200);
	});

	test('only who is logged in gets one', async () => {
		const socket = await world.connect();
		await assert.rejects(socket.call('create_ticket', { file_id: '1' }), /401/);
		await socket.close();
		const good = await world.connect(alice);
		await assert.rejects(good.call('create_ticket', { file_id: null }), /-32602/);
		await assert.rejects(good.call('create_ticket', { file_id: 'x' }), /-32602/);
		await assert.rejects(good.call('create_ticket', { file_id: '1', more: 1 }), /-32602/);
		await good.close();
	});
});

describe('a gibibyte', () => {
	const size = 1 << 30;
	const unit = randomBytes(1 << 20);
	// Every mebibyte begins with its number.
	const piece = number => {
		const bytes = Buffer.from(unit);
		bytes.writeUInt32LE(number);
		return bytes;
	};
	const memory = async () => {
		const sizes = await Promise.all((await world.gateway.workers()).map(async pid =>
			Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))[1]) / 1024));
		return Math.max(...sizes);
	};

	// The most that it is until the promise has settled.
	const memoryDuring = async promise => {
		const samples = [];
		let going = true;
		const settled = promise.finally(() => going = false);
		settled.catch(() => {});
		for (; going; await sleep(250))
			samples.push(await memory());
		await settled;
		return Math.max(...samples);
	};

	const inAndOut = async () => {
		const whole = createHash('sha256');
		const post = request(`${world.http}/files?name=huge`, { method: 'POST', headers: { ...bearer(alice), 'Content-Length': size } });
		const answered = once(post, 'response');
		answered.catch(() => {});
		for (let number = 0; number < size / unit.length; number++)
		{
			const bytes = piece(number);
			whole.update(bytes);
			if (!post.write(bytes))
				await once(post, 'drain');
		}
		post.end();
		const [response] = await within(answered, 'answer', 300000);
		let text = '';
		for await (const data of response)
			text += data;
		assert.equal(response.statusCode, 201, text);
		const file = JSON.parse(text);
		assert.equal(file.sha256, whole.digest('hex'));

		const back = createHash('sha256');
		let length = 0;
		for await (const data of (await download(alice, file.id)).body)
		{
			back.update(data);
			length += data.length;
		}
		assert.equal(length, size);
		assert.equal(back.digest('hex'), file.sha256);
	};

	test('in, out, and never much of it in memory', async () => {
		const before = await memory();
		const growth = await memoryDuring(inAndOut()) - before;
		// A sanitizer keeps what was freed for a while.
		assert.ok(growth < (process.env.CHAT_GATEWAY?.includes('asan') ? 400 : 8), `grew by ${growth} MiB`);
	});
});
