//! The gRPC service `transport.AsyncInference`: which call is which method of a conversation.

use std::{convert::Infallible, future::Future, sync::Arc};

use hyper::{Request as HttpRequest, Response as HttpResponse, body::Incoming};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    server::{ClientStreamingService, Grpc, UnaryService},
};
use tonic_prost::ProstCodec;

use super::{
    conversation::Conversation,
    messages::{Actions, Empty, Observation, PolicySetup},
};

/// A method, as tonic calls it.
struct Method<F>(F);

impl<M, R, F, Answer> UnaryService<M> for Method<F>
where
    F: FnMut(Request<M>) -> Answer,
    Answer: Future<Output = Result<Response<R>, Status>>,
{
    type Response = R;
    type Future = Answer;

    fn call(&mut self, request: Request<M>) -> Answer {
        self.0(request)
    }
}

/// The same of a method that takes a stream.
struct StreamMethod<F>(F);

impl<M, R, F, Answer> ClientStreamingService<M> for StreamMethod<F>
where
    F: FnMut(Request<Streaming<M>>) -> Answer,
    Answer: Future<Output = Result<Response<R>, Status>>,
{
    type Response = R;
    type Future = Answer;

    fn call(&mut self, request: Request<Streaming<M>>) -> Answer {
        self.0(request)
    }
}

/// Answers a call.
pub(super) async fn route(
    conversation: Arc<Conversation>,
    request: HttpRequest<Incoming>,
) -> Result<HttpResponse<Body>, Infallible> {
    let most = Some(conversation.message_bytes());
    let answer = match request.uri().path() {
        "/transport.AsyncInference/Ready" => {
            let method = Method(move |_: Request<Empty>| {
                let conversation = conversation.clone();
                async move {
                    conversation.ready();
                    Ok(Response::new(Empty {}))
                }
            });
            let codec: ProstCodec<Empty, Empty> = ProstCodec::default();
            Grpc::new(codec).apply_max_message_size_config(most, None).unary(method, request).await
        }
        "/transport.AsyncInference/SendPolicyInstructions" => {
            let method = Method(move |request: Request<PolicySetup>| {
                let conversation = conversation.clone();
                async move {
                    conversation.instruct(&request.into_inner().data)?;
                    Ok(Response::new(Empty {}))
                }
            });
            let codec: ProstCodec<Empty, PolicySetup> = ProstCodec::default();
            Grpc::new(codec).apply_max_message_size_config(most, None).unary(method, request).await
        }
        "/transport.AsyncInference/SendObservations" => {
            let method = StreamMethod(move |request: Request<Streaming<Observation>>| {
                let conversation = conversation.clone();
                async move {
                    conversation.observe(request.into_inner()).await?;
                    Ok(Response::new(Empty {}))
                }
            });
            let codec: ProstCodec<Empty, Observation> = ProstCodec::default();
            Grpc::new(codec).apply_max_message_size_config(most, None).client_streaming(method, request).await
        }
        "/transport.AsyncInference/GetActions" => {
            let method = Method(move |_: Request<Empty>| {
                let conversation = conversation.clone();
                async move { conversation.act().await }
            });
            let codec: ProstCodec<Actions, Empty> = ProstCodec::default();
            Grpc::new(codec).apply_max_message_size_config(most, None).unary(method, request).await
        }
        _ => Status::new(Code::Unimplemented, "only transport.AsyncInference is served").into_http(),
    };
    Ok(answer)
}
