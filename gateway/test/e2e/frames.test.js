// SPDX-License-Identifier: PostgreSQL
// RFC 6455 on the wire: handshakes and frames that are none, and how they are refused.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Raw } from './raw.js';
import { until, within, World } from './harness.js';

let world;
before(async () => {
	world = await World.start();
});
after(() => world.stop());

const fields = { Host: 'x', Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'MDEyMzQ1Njc4OWFiY2RlZg==' };
const handshake = (more = {}, version = '1.1') => `GET /ws HTTP/${version}\r\n${Object.entries({ ...fields, ...more })
	.filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;

// A frame of this first byte; `form`: how its length is written; the mask is zero.
const frame = (first, payload, { masked = true, form } = {}) => {
	const bytes = Buffer.from(payload);
	const { length } = bytes;
	const bits = form ?? (length < 126 ? 7 : length < 65536 ? 16 : 64);
	const head = Buffer.alloc({ 7: 2, 16: 4, 64: 10 }[bits]);
	head[0] = first;
	head[1] = (masked ? 0x80 : 0) | (bits === 7 ? length : bits === 16 ? 126 : 127);
	if (bits === 16)
		head.writeUInt16BE(length, 2);
	else if (bits === 64)
		head.writeBigUInt64BE(BigInt(length), 2);
	return Buffer.concat([head, ...masked ? [Buffer.alloc(4)] : [], bytes]);
};
const code = number => Buffer.from([number >> 8, number & 255]);
const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

const open = async () => {
	const raw = new Raw(world.port).write(handshake());
	await until(() => raw.text.includes('\r\n\r\n'), 'the handshake');
	const from = raw.text.indexOf('\r\n\r\n') + 4;
	raw.ended = false;
	raw.end.then(() => raw.ended = true);
	return Object.assign(raw, { frames: () => Buffer.from(raw.text.slice(from), 'latin1') });
};

// The close code that these bytes are answered with; 0: the connection ends without one.
const closing = async bytes => {
	const raw = await open();
	raw.socket.write(bytes);
	await until(() => raw.ended || raw.frames().length >= 4, 'an answer');
	const frames = raw.frames();
	raw.close();
	return frames.length >= 4 && frames[0] === 0x88 ? frames.readUInt16BE(2) : 0;
};

describe('a handshake', () => {
	const status = async request => {
		const raw = new Raw(world.port).write(request);
		const answer = await raw.status();
		if (/^Connection: close\r$/m.test(raw.text))
			await within(raw.end, 'end');
		raw.close();
		return [answer, raw.text];
	};

	test('of another version is told which one serves', async () => {
		for (const version of ['12', '8', '0', '130', 'x', '', '13, 8', null])
		{
			const [answer, text] = await status(handshake({ 'Sec-WebSocket-Version': version }));
			assert.equal(answer, 426, version);
			assert.match(text, /^Sec-WebSocket-Version: 13\r$/m);
			assert.match(text, /"bad_websocket_version"/);
		}
		assert.equal((await status(handshake()))[0], 101);
	});

	test('that is not whole is refused', async () => {
		for (const more of [{ 'Sec-WebSocket-Key': null }, { 'Sec-WebSocket-Key': '' }, { 'Sec-WebSocket-Key': 'short==' }, { 'Sec-WebSocket-Key': 'x'.repeat(24) },
			{ 'Sec-WebSocket-Key': `${'*'.repeat(22)}==` }, { Host: null }, { 'Content-Length': '5' }, { 'Content-Length': 'x' }, { 'Transfer-Encoding': 'chunked' },
			{ 'Sec-WebSocket-Protocol': 'other' }])
			assert.equal((await status(handshake(more)))[0], 400, JSON.stringify(more));
		assert.equal((await status(handshake({}, '1.0')))[0], 400);
		// What is no upgrade at all is a request like others.
		assert.equal((await status(handshake({ Upgrade: 'h2c' })))[0], 426, 'no other upgrade is known');
		assert.equal((await status(handshake().replace('GET', 'POST')))[0], 405);
	});
});

describe('a frame', () => {
	test('that is one is answered', async () => {
		const raw = await open();
		raw.socket.write(frame(0x81, ping));
		await until(() => raw.frames().includes('pong'), 'pong');
		raw.socket.write(Buffer.concat([frame(0x01, ping.slice(0, 9)), frame(0x89, 'between'), frame(0x80, ping.slice(9))]));
		await until(() => raw.frames().includes('between') && raw.frames().toString().split('pong').length === 3, 'both');
		raw.close();
	});

	test('with reserved bits, a reserved opcode, or out of turn is 1002', async () => {
		for (const [what, bytes] of Object.entries({
			rsv1: frame(0xc1, ping), rsv2: frame(0xa1, ping), rsv3: frame(0x91, ping), 'rsv of a ping': frame(0xc9, 'x'),
			'opcode 3': frame(0x83, 'x'), 'opcode 7': frame(0x87, 'x'), 'opcode 11': frame(0x8b, 'x'), 'opcode 15': frame(0x8f, 'x'),
			'a ping in fragments': frame(0x09, 'x'), 'a close in fragments': frame(0x08, code(1000)),
			'a continuation of nothing': frame(0x80, 'x'), 'two beginnings': Buffer.concat([frame(0x01, 'x'), frame(0x81, 'y')])
		}))
			assert.equal(await closing(bytes), 1002, what);
	});

	test('that is a control frame longer than 125 bytes, or whose length has a sign, ends the connection', async () => {
		for (const [what, bytes] of Object.entries({
			ping: frame(0x89, 'x'.repeat(126)), pong: frame(0x8a, 'x'.repeat(126)), close: frame(0x88, Buffer.concat([code(1000), Buffer.alloc(124, 'x')])),
			'a length of 16 bits for less': frame(0x89, 'x', { form: 16 }), 'a length of 64 bits for less': frame(0x89, 'x', { form: 64 }),
			sign: Buffer.from('81ff800000000000000500000000', 'hex')
		}))
			assert.equal(await closing(bytes), 0, what);
	});

	test('that is no UTF-8 is 1007, one that is no text 1003, one too long 1009', async () => {
		assert.equal(await closing(frame(0x81, Buffer.from([0xff, 0xfe]))), 1007);
		assert.equal(await closing(frame(0x82, 'x')), 1003);
		assert.equal(await closing(frame(0x81, 'x'.repeat(65537))), 1009);
	});

	test('that closes with a code nobody may send is 1002, else with its own', async () => {
		for (const number of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65535])
			assert.equal(await closing(frame(0x88, code(number))), 1002, number);
		assert.equal(await closing(frame(0x88, 'x')), 1002, 'half a code');
		assert.equal(await closing(frame(0x88, Buffer.concat([code(1000), Buffer.from([0xff])]))), 0, 'a reason that is no UTF-8');
		for (const number of [1000, 1001, 1003, 1008, 3000, 4999])
			assert.equal(await closing(frame(0x88, code(number))), number);
	});

	// What the library does not let us refuse: this test is to fail when it does.
	test('without a mask, or with a longer length than need be, is taken', async () => {
		for (const bytes of [frame(0x81, ping, { masked: false }), frame(0x81, ping, { form: 16 }), frame(0x81, ping, { form: 64 })])
		{
			const raw = await open();
			raw.socket.write(bytes);
			await until(() => raw.frames().includes('pong'), 'pong');
			raw.close();
		}
	});
});
