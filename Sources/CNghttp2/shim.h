// nghttp2 for Swift: sessions with their limits, and header lists, which would need pointers into pointers.
#ifndef WARMGATE_CNGHTTP2_SHIM_H
#define WARMGATE_CNGHTTP2_SHIM_H

#include <nghttp2/nghttp2.h>
#include <string.h>

// What a session calls, and what it is called with.
struct warmgate_h2_callbacks {
  nghttp2_on_begin_headers_callback begin_headers;
  nghttp2_on_header_callback header;
  nghttp2_on_data_chunk_recv_callback data;
  nghttp2_on_frame_recv_callback received;
  nghttp2_on_frame_send_callback sent;
  nghttp2_on_stream_close_callback closed;
  void *context;
};

struct warmgate_h2_limits {
  uint32_t streams;
  uint32_t header_list;
  // Acknowledgements of PING and SETTINGS that may wait to be sent.
  size_t acknowledgements;
  // RST_STREAM: so many at once, and so many a second.
  uint64_t resets, resets_per_second;
};

// A server's session that has its SETTINGS to send; NULL without memory. What exceeds a limit ends the session.
static inline nghttp2_session *warmgate_h2_server(
    struct warmgate_h2_callbacks own, struct warmgate_h2_limits limits) {
  nghttp2_session_callbacks *callbacks = NULL;
  nghttp2_option *option = NULL;
  nghttp2_session *session = NULL;
  if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, own.begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, own.header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, own.data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, own.received);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, own.sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, own.closed);
    // Closed streams would be kept for the tree of priorities, which nobody uses here.
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, limits.acknowledgements);
    nghttp2_option_set_stream_reset_rate_limit(option, limits.resets, limits.resets_per_second);
    if (nghttp2_session_server_new2(&session, callbacks, own.context, option) != 0) session = NULL;
  }
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(option);
  nghttp2_settings_entry settings[] = {
    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams},
    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.header_list},
  };
  if (session && nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 2) != 0) {
    nghttp2_session_del(session);
    session = NULL;
  }
  return session;
}

// Names and values are copied by the library when they are submitted.
static inline nghttp2_nv warmgate_h2_field(const char *name, const char *value) {
  nghttp2_nv field = {
    (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
  return field;
}

// 200 and messages, which `read` gives; it submits the trailers when there are no more.
static inline int warmgate_h2_answer(
    nghttp2_session *session, int32_t stream, nghttp2_data_source_read_callback read) {
  nghttp2_nv fields[] = {
    warmgate_h2_field(":status", "200"), warmgate_h2_field("content-type", "application/grpc"),
  };
  nghttp2_data_provider provider = {{0}, read};
  return nghttp2_submit_response(session, stream, fields, 2, &provider);
}

// The status of a call whose messages have been sent; `message` may be empty.
static inline int warmgate_h2_trailers(
    nghttp2_session *session, int32_t stream, const char *status, const char *message) {
  nghttp2_nv fields[] = {
    warmgate_h2_field("grpc-status", status), warmgate_h2_field("grpc-message", message)};
  return nghttp2_submit_trailer(session, stream, fields, *message ? 2 : 1);
}

// The status of a call that gets no message.
static inline int warmgate_h2_refusal(
    nghttp2_session *session, int32_t stream, const char *status, const char *message) {
  nghttp2_nv fields[] = {
    warmgate_h2_field(":status", "200"), warmgate_h2_field("content-type", "application/grpc"),
    warmgate_h2_field("grpc-accept-encoding", "identity"),
    warmgate_h2_field("grpc-status", status), warmgate_h2_field("grpc-message", message),
  };
  return nghttp2_submit_response(session, stream, fields, 5, NULL);
}

// What is no gRPC call.
static inline int warmgate_h2_status(nghttp2_session *session, int32_t stream, const char *status) {
  nghttp2_nv fields[] = {warmgate_h2_field(":status", status)};
  return nghttp2_submit_response(session, stream, fields, 1, NULL);
}

#endif
